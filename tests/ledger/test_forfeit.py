"""forfeit: a wallet is closed for good, and nothing is left in it or stranded."""

from datetime import UTC, datetime, timedelta

import pytest

from common.errors import InsufficientCredits, NotFound
from ledger import sweep, verbs
from ledger.models import Account, Transfer
from tests.ledger.books import LEASE, balance, lots, query, total
from tests.racing import Meeting, at_once, on

pytestmark = pytest.mark.usefixtures("proved")


def hold(wallet, amount, key="hold"):
    return verbs.hold(account=wallet, amount=amount, key=key, kind="api", lease=LEASE).hold


def test_every_lot_leaves_at_once_and_once(wallet, fund):
    fund(wallet, 100)
    fund(wallet, 50, kind="allowance", expires_at=datetime.now(UTC) + timedelta(days=9))

    done = verbs.forfeit(account=wallet)
    again = verbs.forfeit(account=wallet)

    assert done.amount == 150
    assert done.balance == verbs.Balance(posted=0, held=0, available=0, owed=0)
    assert again.amount == 0
    assert lots(wallet) == []
    assert total("expired") == 150


def test_nothing_can_be_held_afterwards(wallet, fund):
    fund(wallet, 100)
    verbs.forfeit(account=wallet)

    with pytest.raises(InsufficientCredits):
        hold(wallet, 1)


def test_what_an_open_hold_returns_leaves_too(wallet, fund):
    fund(wallet, 100)
    taken, given_back = hold(wallet, 30, "a"), hold(wallet, 30, "b")

    assert verbs.forfeit(account=wallet).amount == 40
    assert balance(wallet) == (60, 60, 0)
    assert verbs.capture(hold=taken, amount=20, key="capture").amount == 20
    verbs.release(hold=given_back, key="release")
    sweep.expire_lots()

    assert balance(wallet) == (0, 0, 0)
    assert (total("expired"), total("revenue")) == (80, 20)


def test_what_comes_in_later_leaves_too(wallet, fund):
    fund(wallet, 100)
    spent = verbs.spend(account=wallet, amount=60, key="spend").transfer
    verbs.forfeit(account=wallet)

    verbs.refund(transfer=spent, amount=10, key="refund")
    fund(wallet, 500)
    sweep.expire_lots()

    assert balance(wallet) == (0, 0, 0)
    assert lots(wallet) == []
    assert total("expired") == 40 + 10 + 500


def test_what_is_owed_is_paid_first_from_what_a_hold_returns(wallet, fund):
    grant = fund(wallet, 100).grant
    fund(wallet, 80)
    held = hold(wallet, 80)
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=50, key="revoke")
    assert balance(wallet) == (80, 80, 50)

    verbs.forfeit(account=wallet)
    verbs.release(hold=held, key="release")
    sweep.expire_lots()

    assert balance(wallet) == (0, 0, 0)
    assert total("expired") == 30


def test_a_forfeited_grant_can_be_revoked_and_nobody_owes_for_it(wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.forfeit(account=wallet)

    revoked = verbs.revoke(grant=grant, amount=100, key="revoke")

    assert (revoked.lapsed, revoked.receivable) == (100, 0)


def test_only_a_wallet_can_be_closed(wallet):
    with pytest.raises(NotFound):
        verbs.forfeit(account=1)


def test_forfeits_and_spends_at_once(wallet, fund, connect):
    """Whoever comes first: nothing is lost, nothing is left."""
    fund(wallet, 1000)

    def spender(number):
        conn = connect()

        def spend():
            try:
                return on(conn, verbs.spend, account=wallet, amount=10, key=f"{number}").amount
            except InsufficientCredits:
                return 0

        return spend

    closer = connect()
    *spent, expired = at_once(
        [*(spender(n) for n in range(8)), lambda: on(closer, verbs.forfeit, account=wallet).amount]
    )

    assert sum(spent) + expired == 1000
    assert balance(wallet) == (0, 0, 0)


NAIVE_FORFEIT = """
DO $$
DECLARE v_posted bigint;
BEGIN
    SELECT posted INTO v_posted FROM ledger_account WHERE id = {wallet};
    {both_begin}
    WHILE v_posted = (SELECT posted FROM ledger_account WHERE id = {wallet}) LOOP
        PERFORM pg_sleep(0.005);
    END LOOP;
    INSERT INTO naive_expired VALUES (v_posted);
END $$
"""


def test_control_without_the_wallets_lock_a_spend_slips_in_between(wallet, fund, connect):
    """Read the balance, then book it away: what was spent meanwhile is booked twice."""
    fund(wallet, 1000)
    query("CREATE TABLE naive_expired (amount bigint)")
    naive, spender = connect(), connect()
    naive.execute("SET statement_timeout = '60s'")
    meeting = Meeting()
    meeting.expect(connect(), 2)
    forfeit = NAIVE_FORFEIT.format(wallet=wallet, both_begin=meeting.point)

    at_once(
        [
            lambda: naive.execute(forfeit),
            lambda: (
                spender.execute(f"DO $$ BEGIN {meeting.point} END $$"),
                on(spender, verbs.spend, account=wallet, amount=10, key="spend"),
            ),
        ]
    )

    ((expired,),) = query("SELECT amount FROM naive_expired")
    query("DROP TABLE naive_expired")
    assert expired + 10 > 1000


def test_the_moment_of_closing_stays_and_the_transfers_say_expire(wallet, fund):
    fund(wallet, 5)
    verbs.forfeit(account=wallet)
    first = Account.objects.get(pk=wallet).closed_at
    verbs.forfeit(account=wallet)

    assert first is not None
    assert Account.objects.get(pk=wallet).closed_at == first
    assert Transfer.objects.filter(debit=wallet).get().kind == Transfer.Kind.EXPIRE
