"""Farebox as an OpenID Connect provider, for its extensions."""

from typing import Any
from urllib.parse import urlsplit

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.idp.oidc.models import PrivateKey
from django.conf import settings

from accounts import signing

PURPOSE = "oidc"


class OIDCAdapter(DefaultOIDCAdapter):
    """Signs with the deployment's own keys, and is called what ``PUBLIC_URL`` says."""

    def get_issuer(self) -> str:
        return str(settings.PUBLIC_URL)

    def populate_server_metadata(self, data: dict[str, Any]) -> None:
        """Every address begins as the issuer does, whatever host the request came to."""
        for name, value in data.items():
            if name.endswith("_endpoint") or name == "jwks_uri":
                data[name] = settings.PUBLIC_URL + urlsplit(value).path

    def list_private_keys(self, **_: Any) -> list[PrivateKey]:
        """All of them: a key is in force from its making until its row is deleted."""
        return [
            PrivateKey(pem=key.pem, issued_at=key.created_at)
            for key in signing.private_keys(PURPOSE)
        ]
