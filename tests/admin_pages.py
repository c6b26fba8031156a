"""Reading the admin's pages in tests."""

import re

from django.test import Client


def token_on(client: Client, path: str) -> str:
    """The token that the form at ``path`` carries."""
    found = re.search(r'name="token" value="([^"]+)"', client.get(path).content.decode())
    assert found, f"{path} shows no form"
    return found[1]
