"""Two back ends at once, over real sockets: no more is taken than there is, and whatever is sent
again is answered as before."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from accounts import services
from ledger.models import Hold, Transfer
from tests.ledger.books import query
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox

Answer = tuple[int, bytes]


def ask_all(farebox: Farebox, verb: str, requests: list[tuple[str, str]], **body: Any) -> Any:
    """Send every ``(service key, Idempotency-Key)`` at once; the answers, in order."""

    async def ask(session: aiohttp.ClientSession, secret: str, key: str) -> Answer:
        headers = {"x-api-key": secret, "idempotency-key": key}
        while True:
            async with session.post(f"/api/credits/{verb}", json=body, headers=headers) as answer:
                said = await answer.read()
                if answer.status != 503:  # a slow machine's pool of connections; keys are for that
                    return answer.status, said

    async def ask_them() -> list[Answer]:
        connector = aiohttp.TCPConnector(limit=40)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(
            farebox.url, connector=connector, timeout=timeout
        ) as session:
            return await asyncio.gather(*(ask(session, *request) for request in requests))

    return asyncio.run(ask_them())


def test_200_spends_at_once_on_a_balance_for_100_and_each_once_more(farebox: Farebox) -> None:
    rider = make_rider(credits=100 * CREDIT)
    shop, press = (services.issue(name=name) for name in ("shop", "press"))
    # Both use the same keys: they don't meet.
    asked = [(each.secret, f"order-{n}") for n in range(100) for each in (shop, press)]
    spend: dict[str, Any] = {"account": rider.user.email, "amount": "1", "reason": "a picture"}

    first = ask_all(farebox, "spend", asked, **spend)
    assert Counter(status for status, _ in first) == {200: 100, 402: 100}
    assert _taken(rider) == 100
    again = ask_all(farebox, "spend", asked, **spend)
    assert again == first

    assert _taken(rider) == 100
    assert (rider.account.posted, rider.account.held) == (0, 0)
    of_each = Counter(taken.metadata["service"] for taken in rider.captures())
    assert sum(of_each.values()) == 100
    assert set(of_each) <= {str(shop.key.pk), str(press.key.pk)}


def test_20_copies_at_once_are_one(farebox: Farebox) -> None:
    rider = make_rider(credits=100 * CREDIT)
    secret = services.issue(name="shop").secret
    spend: dict[str, Any] = {"account": rider.user.pk, "amount": "5", "reason": "a picture"}
    answers = ask_all(farebox, "spend", [(secret, "order-1")] * 20, **spend)
    assert len(set(answers)) == 1
    assert answers[0][0] == 200
    assert _taken(rider) == 1


def _taken(rider: Rider) -> int:
    return Transfer.objects.filter(kind="capture", debit=rider.wallet).count()


LOCKING = "a := ledger__lock(p_account);"
ACTING = "UPDATE ledger_account SET held = held + v_held"


@contextmanager
def placed_unlocked() -> Iterator[None]:
    """Holds by reading, deciding and writing, without the wallet's lock."""
    ((was,),) = query("SELECT pg_get_functiondef('ledger__place'::regproc)")
    assert LOCKING in was
    assert ACTING in was
    unlocked = was.replace(LOCKING, "SELECT * INTO a FROM ledger_account WHERE id = p_account;")
    naive = "PERFORM pg_sleep(0.1); UPDATE ledger_account SET held = a.held + v_held"
    query(unlocked.replace(ACTING, naive).replace("%", "%%"))
    try:
        yield
    finally:
        query(was.replace("%", "%%"))


def test_control_without_the_wallets_lock_more_is_held_than_there_is(farebox: Farebox) -> None:
    rider = make_rider(credits=10 * CREDIT)
    secret = services.issue(name="shop").secret
    hold: dict[str, Any] = {"account": rider.user.email, "amount": "1", "reason": "a picture"}
    with placed_unlocked():
        answers = ask_all(farebox, "hold", [(secret, str(n)) for n in range(30)], **hold)
    assert Counter(status for status, _ in answers)[200] > 10
    # Mended: the books must prove.
    Hold.objects.update(state="released", ended="2026-01-01T00:00:00Z")
    query("UPDATE ledger_account SET held = 0 WHERE id = %s", rider.wallet)
