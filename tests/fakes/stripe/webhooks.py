"""Webhook endpoints, and the sending of events to them: signed, and again until a 2xx."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import time

import aiohttp

from . import forms, lists
from .forms import Params
from .store import API_VERSION, Object, Store

_FIRST_RETRY, _LONGEST_RETRY, _ATTEMPTS = 0.05, 5.0, 20  # seconds, seconds, a delivery
_AT_ONCE = 32


def endpoint(store: Store, url: str, secret: str, **fields: object) -> Object:
    return store.add(
        "webhook_endpoints",
        {
            "id": store.new_id("we"),
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": None,
            "created": store.now(),
            "description": None,
            "enabled_events": ["*"],
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
            "_secret": secret,
            **fields,
        },
    )


def create(store: Store, params: Params) -> Object:
    """``POST /v1/webhook_endpoints``; the only answer that shows the secret."""
    forms.require(params, "url", "enabled_events")
    made = endpoint(
        store,
        params["url"],
        store.new_id("whsec", 32),
        description=forms.text(params, "description"),
        enabled_events=forms.sequence(params, "enabled_events"),
        metadata=forms.metadata(params),
        api_version=forms.text(params, "api_version", API_VERSION),
    )
    return {**made, "secret": made["_secret"]}


def update(store: Store, params: Params, id: str) -> Object:
    found = store.get("webhook_endpoints", id)
    if "enabled_events" in params:
        found["enabled_events"] = forms.sequence(params, "enabled_events")
    for name in ("url", "description"):
        if name in params:
            found[name] = forms.text(params, name)
    if "disabled" in params:
        found["status"] = "disabled" if forms.boolean(params, "disabled") else "enabled"
    found["metadata"] = forms.metadata(params, found["metadata"])
    return found


def delete(store: Store, params: Params, id: str) -> Object:
    store.get("webhook_endpoints", id)
    store.remove("webhook_endpoints", id)
    return {"id": id, "object": "webhook_endpoint", "deleted": True}


def list_endpoints(store: Store, params: Params) -> Object:
    return lists.answer(store, "webhook_endpoints", params, url="/v1/webhook_endpoints")


def sign(payload: str, secret: str, at: int) -> str:
    """The ``Stripe-Signature`` header, scheme v1."""
    signed = f"{at}.{payload}".encode()
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


class Sender:
    """Sends each event to each endpoint that wants it: all at once, begun in their order.

    ``store.deliveries`` is the record, one entry an event and endpoint.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tasks: set[asyncio.Task[None]] = set()
        self._missed: list[str] = []
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(_AT_ONCE)  # waiting for one is no part of the time-out

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        for delivery in self._store.deliveries:  # of a run that ended before they arrived
            if delivery["state"] == "pending":
                self._begin(delivery)

    async def stop(self) -> None:
        """Leave what is pending to the next start."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    @property
    def pending(self) -> int:
        return len(self._tasks)

    async def settled(self) -> None:
        """Wait until nothing is pending."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def add_told_endpoint(self) -> None:
        """The endpoint of the command line, which is there from the start."""
        options = self._store.options
        if not options.webhook:
            return
        for known in self._store.all("webhook_endpoints"):
            if known.get("_told"):
                known.update(url=options.webhook, _secret=options.secret)
                return
        endpoint(self._store, options.webhook, options.secret, _told=True)

    def reset(self) -> None:
        """Forget what is on its way and start over with the endpoint of the command line."""
        for task in self._tasks:
            task.cancel()
        self._missed.clear()
        self.add_told_endpoint()

    def send_event(self, event: Object) -> None:
        if self._store.paused:
            self._missed.append(event["id"])
        else:
            self._send(event, 1)

    def resume(self, *, replay: bool) -> None:
        """Send again; what was missed only when ``replay``."""
        self._store.paused = False
        missed, self._missed = self._missed, []
        for id in missed if replay else []:
            self._send(self._store.get("events", id), 1)

    def send_again(self, id: str, copies: int) -> None:
        """Deliver an event ``copies`` times more, at once, even while paused."""
        self._send(self._store.get("events", id), copies)

    def _send(self, event: Object, copies: int) -> None:
        for target in self._store.all("webhook_endpoints"):
            if target["status"] != "enabled" or not _wants(target, event["type"]):
                continue
            for _ in range(copies):
                delivery: Object = {
                    "event": event["id"],
                    "type": event["type"],
                    "endpoint": target["id"],
                    "url": target["url"],
                    "statuses": [],
                    "state": "pending",
                }
                self._store.deliveries.append(delivery)
                event["pending_webhooks"] += 1
                self._begin(delivery)
        self._store.dirty = True

    def _begin(self, delivery: Object) -> None:
        if self._session is None:
            return  # not started yet: `start` begins what is pending
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Object) -> None:
        wait = _FIRST_RETRY
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_RETRY)
            target = self._store.tables["webhook_endpoints"].get(delivery["endpoint"])
            event = self._store.tables["events"].get(delivery["event"])
            if target is None or event is None:
                break
            async with self._turns:
                status = await self._post(target, event)
            delivery["statuses"].append(status)
            self._store.dirty = True
            if 200 <= status < 300:
                delivery["state"] = "delivered"
                event["pending_webhooks"] -= 1
                return
        delivery["state"] = "failed"

    def _signing_time(self) -> int:
        real = self._store.options.real_signatures
        return int(time.time()) if real else self._store.now()

    async def _post(self, target: Object, event: Object) -> int:
        """The status that came back; 0 when none did."""
        payload = json.dumps(event, indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": sign(payload, target["_secret"], self._signing_time()),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        assert self._session is not None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._session.post(
                target["url"], data=payload, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                return answer.status
        return 0


def _wants(target: Object, type: str) -> bool:
    return "*" in target["enabled_events"] or type in target["enabled_events"]
