"""The two ways to call a verb, and what each does with transactions."""

import threading

import psycopg
import pytest
from django.db import connection, transaction

from accounts.verbs import create_user
from common.errors import IdempotencyConflict, InsufficientCredits, Unavailable
from ledger import verbs
from ledger.models import IdempotencyKey
from tests.ledger.books import LEASE, balance
from tests.racing import at_once, on

pytestmark = pytest.mark.usefixtures("proved")


async def test_awaited_a_verb_answers_the_same(dsn):
    def prepare():
        return verbs.wallet_of(user=create_user(email="async@example.com").pk)

    wallet = in_a_thread(prepare)
    conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with conn:
        granted = await verbs.grant.aio(conn, account=wallet, amount=9, kind="purchase", key="g")
        held = await verbs.hold.aio(
            conn, account=wallet, amount=5, key="h", kind="api", lease=LEASE
        )
        taken = await verbs.capture.aio(conn, hold=held.hold, amount=4, key="c")
        with pytest.raises(InsufficientCredits, match=r"0\.000006 .* needed and 0\.000005"):
            await verbs.spend.aio(conn, account=wallet, amount=6, key="s")

    def repeat():
        return (
            verbs.grant(account=wallet, amount=9, kind="purchase", key="g"),
            verbs.hold(account=wallet, amount=5, key="h", kind="api", lease=LEASE),
            verbs.capture(hold=held.hold, amount=4, key="c"),
        )

    assert in_a_thread(repeat) == (granted, held, taken)
    assert taken.balance == verbs.Balance(posted=5, held=0, available=5, owed=0)


def in_a_thread(work):
    """Django's connections belong to threads without an event loop."""

    def closing():
        try:
            return work()
        finally:
            connection.close()

    return at_once([closing])[0]


def test_a_verb_joins_its_callers_transaction(wallet, fund):
    class Regret(Exception):
        pass

    def change_the_mind():
        with transaction.atomic():
            verbs.grant(account=wallet, amount=5, kind="purchase", key="key")
            assert balance(wallet) == (5, 0, 0)
            raise Regret

    with pytest.raises(Regret):
        change_the_mind()

    assert balance(wallet) == (0, 0, 0)
    assert not IdempotencyKey.objects.filter(key="key").exists()


def test_a_refusal_leaves_the_callers_transaction_usable(wallet, fund):
    with transaction.atomic():
        fund(wallet, 5)
        with pytest.raises(InsufficientCredits):
            verbs.spend(account=wallet, amount=6, key="key")
        verbs.spend(account=wallet, amount=5, key="key")

    assert balance(wallet) == (0, 0, 0)


def test_a_wallet_that_stays_locked_is_busy(wallet, fund, connect):
    fund(wallet, 5)
    other = connect(autocommit=False)
    other.execute("SELECT FROM ledger_account WHERE id = %s FOR UPDATE", [wallet])
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")

    with pytest.raises(Unavailable) as refused:
        verbs.spend(account=wallet, amount=5, key="key")

    assert refused.value.headers == {"retry-after": "1"}
    assert balance(wallet) == (5, 0, 0)
    other.rollback()
    verbs.spend(account=wallet, amount=5, key="key")


def test_a_deadlock_is_tried_again(wallet, fund, connect):
    """A key and a wallet locked crosswise: the verb loses, repeats, and succeeds."""
    fund(wallet, 5)
    other = connect(autocommit=False)
    other.execute("SET deadlock_timeout = '10s'")  # so that PostgreSQL picks the verb's side
    other.execute("SELECT FROM ledger_account WHERE id = %s FOR UPDATE", [wallet])
    with connection.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '20ms'")
        cursor.execute("SELECT pg_backend_pid()")
        (mine,) = cursor.fetchone()

    watcher = connect()

    def cross():
        wait_until(watcher, "SELECT true FROM pg_locks WHERE pid = %s AND NOT granted", mine)
        # Wait in turn for what the verb holds: its idempotency key.
        other.execute("SELECT pg_advisory_xact_lock(hashtextextended('key', 0))")
        other.rollback()

    crossing = threading.Thread(target=cross)
    crossing.start()
    spent = verbs.spend(account=wallet, amount=5, key="key")
    crossing.join(timeout=30)

    assert spent.amount == 5
    assert balance(wallet) == (0, 0, 0)


def wait_until(conn, question, *params):
    """Ask until the answer is not empty, for ten seconds at most."""
    conn.execute("SET statement_timeout = '10s'")
    conn.execute(
        f"DO $$ BEGIN WHILE NOT EXISTS ({question}) LOOP PERFORM pg_sleep(0.005);"
        " PERFORM pg_stat_clear_snapshot(); END LOOP; END $$" % params
    )


def test_the_second_of_two_at_once_waits_for_the_first(wallet, fund, connect):
    """The key is free again when the first one fails, and taken when it succeeds."""
    first = connect(autocommit=False)
    on(first, verbs.grant, account=wallet, amount=5, kind="purchase", key="key")
    second, watcher = connect(), connect()

    def repeat(amount):
        return lambda: on(
            second, verbs.grant, account=wallet, amount=amount, kind="purchase", key="key"
        )

    def end(how):
        def when_somebody_waits():
            wait_until(
                watcher,
                "SELECT true FROM pg_locks WHERE pid = %s AND NOT granted",
                second.info.backend_pid,
            )
            getattr(first, how)()

        return when_somebody_waits

    at_once([repeat(7), end("rollback")])
    assert balance(wallet) == (7, 0, 0)

    on(first, verbs.grant, account=wallet, amount=1, kind="purchase", key="another")
    on(first, verbs.grant, account=wallet, amount=7, kind="purchase", key="key")
    with pytest.raises(IdempotencyConflict):
        at_once([repeat(8), end("commit")])
    assert balance(wallet) == (8, 0, 0)
