"""Books with a bit of everything, and a way to damage them."""

import pytest

from ledger import verbs
from ledger.reconcile import reconcile
from tests.ledger.books import LEASE, make_due


@pytest.fixture
def spent(wallet, fund):
    """Books with a bit of everything; answers the capture's result."""
    fund(wallet, 1000)
    gift = fund(wallet, 100, kind="promotion").grant
    due = fund(wallet, 60, kind="allowance").grant
    verbs.hold(account=wallet, amount=50, key="open", kind="api", lease=LEASE)
    make_due(due)
    spent = verbs.spend(account=wallet, amount=200, key="spend")
    verbs.refund(transfer=spent.transfer, amount=30, key="refund")
    verbs.revoke(grant=gift, amount=90, key="revoke")
    assert reconcile().violations == []
    return spent


@pytest.fixture
def tamper(connect):
    """Changes the books behind the guards' back."""

    def tamper(sql, *params):
        conn = connect()
        conn.execute("SET session_replication_role = replica")
        assert conn.execute(sql, params).rowcount == 1

    return tamper
