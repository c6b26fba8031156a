"""The proxy as an ASGI application: the only branching. Errors are answered here, once."""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from structlog.contextvars import bind_contextvars

from accounts.extensions import origin_of
from common.errors import FareboxError, MethodRefused, NotFound
from common.ids import uuid7
from proxy import counting, credentials, errors, listing, metrics, responses, settle, tracing
from proxy.call import Call, Cut
from proxy.context import Context
from proxy.cors import Cors
from proxy.errors import Stopping
from proxy.relay import Relay
from proxy.responses import ClientLeft, Receive, Scope, Send
from proxy.routes import PAID
from usage import idempotency

log = structlog.get_logger(__name__)

MODELS = "/v1/models"
PATHS = ("/v1/", "/ai-proxy")


class Proxy:
    """``startup`` and ``shutdown`` may be called by the server's lifespan; a server without one
    (daphne) starts it by the first request."""

    def __init__(self) -> None:
        self._context: Context | None = None
        self._starting = asyncio.Lock()
        self._cors = Cors(map(origin_of, settings.EXTENSION_IDS))

    async def startup(self) -> Context:
        async with self._starting:
            if self._context is None:
                context = Context()
                await context.start()
                self._context = context
        return self._context

    def cut(self) -> None:
        """End every open call now, and refuse those that come yet."""
        if self._context is not None:
            self._context.cut()

    async def shutdown(self, drain_seconds: float = 0.0) -> None:
        """Answers whose clients have left are read on for so long; then all is ended and closed."""
        if self._context is not None:
            await self._context.stop(drain_seconds)
            self._context = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid7()  # of a paid call it becomes the call's id
        path = scope["path"]
        protocol = "anthropic" if path.startswith("/v1/messages") else "openai"
        try:
            headers = credentials.headers_of(scope)
            if origin := headers.get(b"origin"):
                send = self._cors.wrap(send, origin)
                if (granted := self._cors.preflight(scope["method"], headers)) is not None:
                    await responses.whole(send, 200, b"", granted, b"text/plain")
                    return
            context = self._context or await self.startup()
            address = context.addresses.enter(scope)
            if path in PAID:
                _expect_method(scope, "POST")
                if "farebox.late" in (scope.get("extensions") or {}):
                    await responses.read_body(receive, headers)  # else the answer might be reset
                    raise Stopping
                client = _Client(scope, receive, send)
                await _paid(context, request_id, path, headers, client, address)
            elif path == MODELS or path.startswith(MODELS + "/"):
                protocol = listing.protocol_of(headers)
                _expect_method(scope, "GET")
                name = path.removeprefix(MODELS).removeprefix("/")
                await listing.answer(context, headers, protocol, name, str(request_id), send)
            elif path == counting.PATH:
                _expect_method(scope, "POST")
                await counting.answer(context, headers, receive, str(request_id), send)
                context.addresses.let_through(address)
            else:
                raise NotFound(f"There is nothing at {path[:200]}.")
        except FareboxError as error:
            metrics.refused(path, errors.status(error, protocol), error.code)
            await responses.refuse(send, error, protocol, str(request_id))
        except ClientLeft:
            pass
        except Exception as error:
            log.exception("unexpected", error=type(error).__name__, request_id=str(request_id))
            metrics.refused(path, FareboxError.status, FareboxError.code)
            problem = FareboxError("Something went wrong here; it has been noted.")
            await responses.refuse(send, problem, protocol, str(request_id))


async def _paid(
    context: Context,
    call_id: UUID,
    path: str,
    headers: Mapping[bytes, bytes],
    client: "_Client",
    address: str | None,
) -> None:
    """A paid call: parse, begin, relay. ``relay`` finishes it, whatever happens."""
    credential = credentials.read(headers)
    raw = await responses.read_body(client.receive, headers)
    request = PAID[path](raw, await context.ready(), headers)
    key = idempotency.read(headers.get(b"idempotency-key"), path, raw)
    del raw
    meter = request.protocol.meter(hide_usage=not request.shows_usage)
    call = Call(call_id, request, meter, settings.UPSTREAM_TOTAL_SECONDS)
    bind_contextvars(request_id=call.name)
    begun = await settle.begin(context.pool, call, credential, key)
    call.begun = time.monotonic()
    bind_contextvars(call=call.name, user=begun.user)
    if tracing.tell is not None:
        call.carrier = tracing.carrier(headers)
    context.addresses.let_through(address)
    call.held, call.limits = begun.held, begun.limits
    context.open[id(call)] = call
    call.task = asyncio.current_task()
    if context.closing:
        call.end_early(Cut.STOPPED)
    unwatch = client.watch(partial(call.end_early, Cut.CLIENT_LEFT))
    try:
        await Relay(context, call, client.send, client.abort).run(begun.output_tokens, headers)
    finally:
        unwatch()


class _Client:
    """Who is to be answered: ASGI's two ways, and what ``config.http`` offers beside them."""

    __slots__ = ("_offered", "receive", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._offered: Mapping[str, Any] = scope.get("extensions") or {}
        self.receive = receive
        self.send = send

    def abort(self) -> None:
        """Drop the client, where the server offers that."""
        if offered := self._offered.get("farebox.abort"):
            offered["abort"]()

    def watch(self, left: Callable[[], None]) -> Callable[[], object]:
        """Have ``left`` called when the client goes; answers how to end the watch."""
        if offered := self._offered.get("farebox.watch"):
            offered["watch"](left)
            return partial(offered["watch"], None)
        return asyncio.create_task(self._wait(left)).cancel

    async def _wait(self, left: Callable[[], None]) -> None:
        """A plain ASGI server tells it only to who listens."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
        left()


def _expect_method(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise MethodRefused(f"This address takes {method} only.", allow=method)
