"""A Stripe for tests of billing: the fake, with our products, prices and webhook endpoint in it.

``fake_stripe`` is the fake (one process for all tests, reset for each) with settings that make
Farebox speak to it and its catalog in sync; it sends no webhook: a test calls what a receiver
calls, or posts events itself. ``delivering`` is the same with a server in this process, on a real
socket, to which the fake sends its events. Both are ``proved``: the books must reconcile in the
end, and neither goes with the mark ``django_db``, since Stripe is not asked in a transaction.

    def test_a_paid_session_grants(delivering, user):
        order = checkout.open_credits(user, 100)
        delivering.pay(order.stripe_id)
        delivering.settled()
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test.testcases import LiveServerThread, QuietWSGIRequestHandler
from djstripe.models import WebhookEndpoint

from billing import checkout
from billing.models import Plan
from tests.billing import catalog
from tests.fakes.stripe.handle import FakeStripe
from tests.proxy.server import wait_for

PRO_CENTS = 900
MAX_CENTS = 2900
CREDIT = 1_000_000
T = TypeVar("T")


class Server(LiveServerThread):
    """Django behind a socket, in threads of this process: it sees the test's settings, clock and
    database. ``idle`` waits until no request is being served."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", lambda _handler: self.serve)
        self.daemon = True
        self._django = _django()
        self._lock = threading.Lock()
        self._served = 0

    def serve(self, environ: Any, start_response: Any) -> Any:
        with self._lock:
            self._served += 1
        try:
            answer = self._django(environ, start_response)
        finally:
            with self._lock:
                self._served -= 1
        return answer

    def idle(self) -> None:
        wait_for(lambda: self._served == 0, what="no request is being served")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _create_server(self, connections_override: Any = None) -> Any:
        # A thousand deliveries may knock at once.
        server: Any = type("Httpd", (self.server_class,), {"request_queue_size": 1024})
        return server((self.host, self.port), QuietWSGIRequestHandler, allow_reuse_address=False)


@cache
def _django() -> WSGIHandler:
    return WSGIHandler()


@pytest.fixture(scope="session")
def stripe_process() -> Iterator[FakeStripe]:
    with FakeStripe() as fake:
        yield fake


@pytest.fixture(scope="module")
def stripe_server() -> Iterator[Server]:
    server = Server()
    server.start()
    server.is_ready.wait()
    assert server.error is None, server.error
    yield server
    server.terminate()


@pytest.fixture
def plans(clean_books: None) -> dict[str, Plan]:
    """``pro`` at 9.00, with 100 credits a month, and ``max`` at 29.00, with 400."""
    Plan.objects.filter(slug="pro").update(price=PRO_CENTS)
    Plan.objects.create(slug="max", name="Max", price=MAX_CENTS, monthly_allowance=400 * CREDIT)
    return {plan.slug: plan for plan in Plan.objects.all()}


@pytest.fixture
def fake_stripe(
    stripe_process: FakeStripe, proved: None, plans: dict[str, Plan], settings: Any
) -> Iterator[FakeStripe]:
    """The fake, and Farebox set up to use it. Events are recorded and sent to nobody."""
    yield from _set_up(stripe_process, settings)


@pytest.fixture
def delivering(
    stripe_process: FakeStripe,
    stripe_server: Server,
    proved: None,
    plans: dict[str, Plan],
    settings: Any,
) -> Iterator[FakeStripe]:
    """The fake, which sends its events to a server of ours."""
    settings.PUBLIC_URL = stripe_server.url
    for fake in _set_up(stripe_process, settings):
        assert WebhookEndpoint.objects.filter(url__startswith=stripe_server.url).exists()
        fake.resume()
        yield fake
        fake.pause()
        with contextlib.suppress(TimeoutError):
            fake.settled(5)
        fake.reset()
        stripe_server.idle()


def _set_up(fake: FakeStripe, settings: Any) -> Iterator[FakeStripe]:
    settings.STRIPE_SECRET_KEY = fake.key
    settings.STRIPE_LIVE_MODE = False
    settings.STRIPE_API_HOST = fake.url
    settings.ENABLE_PAYMENTS = True
    catalog.bring(fake)
    yield fake


def subscribe(fake: FakeStripe, user: Any, plan: Plan, **card: str) -> str:
    """What a person does on the page, up to the paid subscription. Answers its id; what Stripe has
    to say of it is for the test to bring about."""
    order = checkout.open_plan(user, plan)
    return str(fake.pay(order.stripe_id, **card)["subscription"])


def invoices_of(fake: FakeStripe, subscription: str) -> list[str]:
    """The ids of a subscription's invoices, oldest first."""
    found = fake.api.v1.invoices.list({"subscription": subscription, "limit": 100})
    return [one.id for one in found.data][::-1]


def charge_of(fake: FakeStripe, payment: Any) -> str:
    """The charge behind a payment of ours."""
    intent = fake.api.v1.payment_intents.retrieve(payment.payment_intent)
    return str(intent.latest_charge)


def refund(fake: FakeStripe, payment: Any, amount: int | None = None) -> str:
    """Refund ``amount`` cents of a payment at Stripe, or what is left of it."""
    told: Any = {"payment_intent": payment.payment_intent}
    made = fake.api.v1.refunds.create(told | ({"amount": amount} if amount else {}))
    return str(made.id)


def in_threads(work: Sequence[Callable[[], T]], threads: int = 8) -> list[T]:
    """Run every callable in one of a few threads, whose connections are closed; answers in
    order."""

    def run(one: Callable[[], T]) -> T:
        try:
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, work))
