"""Controls below ``/_fake/``, in JSON: what tests and people do to the fake Stripe."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from . import clock, customers, disputes, faults, payments, sessions
from .errors import StripeError
from .render import render
from .store import Object, Store
from .webhooks import Sender

Body = dict[str, Any]


def routes(store: Store, sender: Sender) -> list[web.RouteDef]:
    """Every control; a refusal is answered in Stripe's shape."""
    controls = _Controls(store, sender)
    table: list[tuple[str, str, Callable[..., Any]]] = [
        ("GET", "state", controls.state),
        ("GET", "clock", controls.show_clock),
        ("POST", "clock", controls.set_clock),
        ("POST", "tax", controls.set_tax),
        ("POST", "webhooks", controls.webhooks),
        ("POST", "events/{id}/send", controls.send),
        ("GET", "deliveries", controls.deliveries),
        ("POST", "settle", controls.settle),
        ("POST", "faults", controls.faults),
        ("POST", "reset", controls.reset),
        ("POST", "sessions/{id}/pay", controls.pay),
        ("POST", "sessions/{id}/expire", controls.expire),
        ("POST", "sessions/{id}/async", controls.finish_delayed),
        ("POST", "customers/{id}/card", controls.set_card),
        ("POST", "payment_intents/{id}/authenticate", controls.authenticate),
        ("POST", "charges/{id}/dispute", controls.dispute),
        ("POST", "disputes/{id}/close", controls.close_dispute),
    ]
    return [web.route(method, f"/_fake/{path}", _endpoint(verb)) for method, path, verb in table]


def _endpoint(verb: Callable[..., Any]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            told = await request.json() if request.can_read_body else {}
            answer = verb(told, **request.match_info)
            if asyncio.iscoroutine(answer):
                answer = await answer
        except StripeError as error:
            return web.json_response(error.body(), status=error.status)
        except (KeyError, TypeError, ValueError) as error:
            body = {"error": {"type": "control_error", "message": f"Bad control: {error!r}"}}
            return web.json_response(body, status=400)
        return web.json_response(answer)

    return handle


class _Controls:
    def __init__(self, store: Store, sender: Sender) -> None:
        self._store = store
        self._sender = sender

    def _show(self, object: Object) -> Object:
        return render(self._store, object)

    def state(self, told: Body) -> Object:
        return self._store.state()

    def show_clock(self, told: Body) -> Object:
        return {"now": self._store.now(), "frozen": self._store.frozen is not None}

    async def set_clock(self, told: Body) -> Object:
        """``{"now": epoch}`` moves there; with ``"settle": true`` every event of an instant is
        delivered before the next one comes. ``{"now": null}`` returns to real time."""
        if told["now"] is None:
            clock.release(self._store)
            return self.show_clock({})
        for _ in clock.steps(self._store, int(told["now"])):
            if told.get("settle"):
                await self._sender.settled()
        return self.show_clock({})

    def set_tax(self, told: Body) -> Object:
        """What automatic tax adds from now on, in hundredths of a per cent."""
        self._store.tax_basis_points = int(told["basis_points"])
        return {"basis_points": self._store.tax_basis_points}

    def webhooks(self, told: Body) -> Object:
        if told["paused"]:
            self._store.paused = True
        else:
            self._sender.resume(replay=bool(told.get("replay")))
        return {"paused": self._store.paused, "pending": self._sender.pending}

    def send(self, told: Body, id: str) -> Object:
        self._sender.send_again(id, int(told.get("copies", 1)))
        return {"pending": self._sender.pending}

    def deliveries(self, told: Body) -> Object:
        return {"pending": self._sender.pending, "deliveries": self._store.deliveries}

    async def settle(self, told: Body) -> Object:
        """Answers when no delivery is pending any more, or after ``{"seconds": n}``."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._sender.settled(), float(told["seconds"]))
        return {"pending": self._sender.pending}

    def faults(self, told: Any) -> Object:
        faults.add(self._store, told)
        return {"faults": self._store.faults}

    def reset(self, told: Body) -> Object:
        """As new, or with ``{"state": ...}`` as ``GET /_fake/state`` once told."""
        self._store.clear()
        if told.get("state"):
            self._store.put(told["state"])
        self._sender.reset()
        return {}

    def pay(self, told: Body, id: str) -> Object:
        code = told.get("promotion_code") or None
        return self._show(sessions.pay(self._store, id, told["card"], code))

    def expire(self, told: Body, id: str) -> Object:
        return self._show(sessions.expire(self._store, id))

    def finish_delayed(self, told: Body, id: str) -> Object:
        return self._show(sessions.finish_delayed(self._store, id, _outcome(told)))

    def set_card(self, told: Body, id: str) -> Object:
        return self._show(customers.set_card(self._store, id, told["card"]))

    def authenticate(self, told: Body, id: str) -> Object:
        return self._show(payments.authenticate(self._store, id, _outcome(told)))

    def dispute(self, told: Body, id: str) -> Object:
        amount = told.get("amount")
        return self._show(disputes.open(self._store, id, None if amount is None else int(amount)))

    def close_dispute(self, told: Body, id: str) -> Object:
        return self._show(disputes.close(self._store, id, told["status"]))


def _outcome(told: Body) -> str:
    outcome = str(told.get("outcome", "succeeded"))
    if outcome not in ("succeeded", "failed"):
        raise StripeError("An outcome is succeeded or failed.", param="outcome")
    return outcome
