"""A paid call waits on nothing of Stripe's: it goes on while Stripe is away, and crosses the mark
of an automatic top-up, which is tried when Stripe is back."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.utils import timezone

from billing import topping_up
from billing.models import Order
from ledger.reconcile import reconcile
from tests.billing.topups import CREDIT, attempts, buy, switch_on
from tests.fakes.stripe.handle import FakeStripe
from tests.proxy.dialects import BOTH, OPENAI
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for

pytestmark = pytest.mark.xdist_group("proxy-slow")


@pytest.fixture
def stripe(tmp_path: Path, settings: Any) -> Iterator[Callable[[], FakeStripe]]:
    """Starts a fake Stripe, at the same address each time, with what it had before."""
    port, running = 0, []

    def start() -> FakeStripe:
        nonlocal port
        fake = FakeStripe(port=port, state=tmp_path / "stripe.json").start()
        port = urlsplit(fake.url).port or 0
        running.append(fake)
        settings.STRIPE_SECRET_KEY, settings.STRIPE_API_HOST = fake.key, fake.url
        settings.ENABLE_PAYMENTS = True
        return fake

    yield start
    for fake in running:
        fake.stop()


@pytest.fixture
def queue_url(settings: Any) -> str:
    """A queue of this test's own."""
    return re.sub(r"/\d+$", "/11", settings.REDIS_URL)


@pytest.fixture
def queue(queue_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(queue_url) as valkey:
        valkey.flushdb()
        yield valkey
        valkey.flushdb()


def nudged(queue: redis.Redis) -> list[Any]:
    """The arguments of the top-ups that were asked for."""
    found = [json.loads(raw)["headers"] for raw in queue.lrange("celery", 0, -1)]
    return [head["argsrepr"] for head in found if head["task"] == "billing.tasks.top_up"]


def test_calls_go_on_and_the_top_up_comes_later(
    own_farebox: Callable[..., Farebox],
    rider: Rider,
    stripe: Callable[[], FakeStripe],
    queue: redis.Redis,
    queue_url: str,
) -> None:
    fake_stripe = stripe()
    buy(fake_stripe, rider.user)
    threshold = rider.account.available // CREDIT
    switch_on(rider.user, threshold=threshold)
    assert rider.account.low_since is None
    farebox = own_farebox(
        ENABLE_PAYMENTS="true",
        STRIPE_SECRET_KEY=fake_stripe.key,
        STRIPE_API_HOST=fake_stripe.url,
        REDIS_URL=queue_url,
    )

    fake_stripe.stop()
    for dialect in BOTH:
        for stream in (False, True):
            reply = dialect.ask(farebox, rider.secret, stream=stream)
            assert (reply.status, reply.whole) == (200, True)
    wait_for(lambda: len(rider.calls()) == 4, what="four calls are recorded")
    assert rider.account.low_since is not None
    wait_for(lambda: nudged(queue) == [f"({rider.user.pk},)"], what="one nudge")

    now = timezone.now()
    assert topping_up.attend(rider.user.pk, now) == 0
    assert attempts(rider.user) == ["open"]
    assert OPENAI.ask(farebox, rider.secret).status == 200

    fake_stripe = stripe()
    later = now + timedelta(minutes=2)
    assert topping_up.due(later) == [rider.user.pk]
    assert topping_up.attend(rider.user.pk, later) == 1
    assert rider.account.available > (threshold + 49) * CREDIT
    assert Order.objects.get(kind="top_up").state == "paid"
    assert reconcile().violations == []
