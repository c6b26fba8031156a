"""The fake Stripe's webhooks: signed, in order, again until a 2xx; paused, replayed, copied."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Self

import pytest
import stripe
from aiohttp import web

from tests.fakes.stripe.shop import Shop, utc


class Receiver:
    """A server in a thread that takes every event; the next ``failing`` ones it answers 500."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []  # body, signature
        self.failing = 0
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="receiver")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        if self.failing:
            self.failing -= 1
            return web.Response(status=500)
        self.taken.append((body, request.headers["Stripe-Signature"]))
        return web.Response()

    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.taken]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def listen(shop: Shop, receiver: Receiver, *types: str) -> stripe.WebhookEndpoint:
    return shop.api.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": list(types) or ["*"]}
    )


def test_signed(shop: Shop, receiver: Receiver) -> None:
    endpoint = listen(shop, receiver)
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in shop.api.webhook_endpoints.retrieve(endpoint.id)
    customer = shop.customer(card=None)
    shop.fake.settled()
    ((body, signature),) = receiver.taken
    event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
    assert (event.type, event.data.object["id"]) == ("customer.created", customer.id)
    assert event.api_version == "2026-05-27.dahlia"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + " ", signature, endpoint.secret)


def test_signed_at_the_fakes_time(shop: Shop, receiver: Receiver) -> None:
    listen(shop, receiver)
    shop.fake.advance(utc("2030-01-01T00:00"))
    shop.customer(card=None)
    shop.fake.settled()
    assert receiver.taken[0][1].startswith(f"t={int(utc('2030-01-01T00:00').timestamp())},v1=")


def test_only_what_was_asked_for(shop: Shop, receiver: Receiver) -> None:
    endpoint = listen(shop, receiver, "price.created")
    shop.price(1000)
    shop.api.webhook_endpoints.update(endpoint.id, {"disabled": True})
    shop.price(1000)
    shop.fake.settled()
    assert receiver.types() == ["price.created"]


def test_again_until_it_is_taken(shop: Shop, receiver: Receiver) -> None:
    listen(shop, receiver)
    receiver.failing = 3
    shop.customer(card=None)
    shop.fake.settled()
    assert receiver.types() == ["customer.created"]
    (delivery,) = shop.fake.deliveries()["deliveries"]
    assert (delivery["state"], delivery["statuses"]) == ("delivered", [500, 500, 500, 200])
    assert shop.events()[0].pending_webhooks == 0


def test_paused(shop: Shop, receiver: Receiver) -> None:
    listen(shop, receiver)
    shop.fake.pause()
    shop.price(1000)
    shop.fake.resume()
    shop.customer(card=None)
    shop.fake.settled()
    assert receiver.types() == ["customer.created"]
    shop.fake.pause()
    shop.price(2000)
    shop.fake.resume(replay=True)
    shop.fake.settled()
    assert sorted(receiver.types()) == ["customer.created", "price.created", "product.created"]


def test_copies(shop: Shop, receiver: Receiver) -> None:
    listen(shop, receiver)
    shop.fake.pause()
    shop.customer(card=None)
    (event,) = shop.events()
    shop.fake.send(event.id, copies=5)
    shop.fake.settled()
    assert receiver.types() == ["customer.created"] * 5
    assert len({body for body, _ in receiver.taken}) == 1


def test_each_instant_is_delivered_before_the_next(shop: Shop, receiver: Receiver) -> None:
    shop.fake.advance(utc("2027-01-31T00:00"))
    shop.subscribe(shop.price(1000))
    listen(shop, receiver, "invoice.paid")
    shop.fake.advance(utc("2027-12-31T00:00"), settle=True)
    times = [signature.split(",")[0] for _, signature in receiver.taken]
    assert len(times) == 11
    assert times == sorted(set(times))
