"""Whatever process changes something, it is heard: a command that ends at once, a forked child."""

import subprocess
import sys

import pytest

from tests.accounts.sockets.client import key_headers, open_told
from tests.accounts.sockets.conftest import SETTINGS
from tests.proxy.server import ROOT, server_environment

COMMAND = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from django.db import connection
from accounts import events
from ledger import verbs
wallet = int(sys.argv[1])
def spend(key):
    verbs.spend(account=wallet, amount=1, key=key)
"""
AT_ONCE = COMMAND + 'spend("s")\n'
# Celery's workers are such children: of a parent whose thread they do not have.
FORKED = COMMAND + (
    "events.hint(0)\n"
    "connection.close_pool()\n"
    "child = os.fork()\n"
    "if not child:\n"
    '    spend("s")\n'
    "    sys.exit()\n"
    "assert os.waitpid(child, 0)[1] == 0\n"
)


@pytest.mark.parametrize("program", [AT_ONCE, FORKED], ids=["at once", "forked"])
def test_it_is_heard(farebox, fake, database_url, rider, program):
    with open_told(farebox, key_headers(rider.secret)) as socket:
        subprocess.run(
            [sys.executable, "-c", program, str(rider.wallet)],
            env=server_environment(fake, database_url, **SETTINGS), cwd=ROOT, check=True,
            timeout=60,
        )  # fmt: skip
        assert socket.next(2)["balance"]["available"] == "999.999999"
