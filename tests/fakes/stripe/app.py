"""The fake Stripe as one aiohttp application: API, pages, controls, webhooks, clock."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from . import api, clock, control, pages, webhooks
from .faults import fault_middleware
from .options import Options
from .store import Store

STORE = web.AppKey("store", Store)
_TICK = 0.5  # seconds between two looks at what real time has made due


def make_app(options: Options) -> web.Application:
    """Ready to be served; with ``options.state`` it goes on where it stopped."""
    store = Store(options)
    store.load()
    sender = webhooks.Sender(store)
    store.on_event = sender.send_event
    sender.add_told_endpoint()
    app = web.Application(
        middlewares=[_saving(store), fault_middleware(store)], client_max_size=4 * 1024**2
    )
    app[STORE] = store
    app.add_routes(api.routes(store))
    app.add_routes(control.routes(store, sender))
    app.add_routes(pages.routes(store))
    app.cleanup_ctx.append(lambda app: _life(store, sender))
    return app


def _saving(store: Store) -> Middleware:
    """What was answered is in the file."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        finally:
            if request.method != "GET":
                store.dirty = True
                store.save()

    return middleware


async def _life(store: Store, sender: webhooks.Sender) -> AsyncIterator[None]:
    """What runs beside the requests: the sender, the clock, the state file."""
    await sender.start()
    ticking = asyncio.create_task(_tick(store))
    yield
    ticking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ticking
    await sender.stop()
    store.save()


async def _tick(store: Store) -> None:
    while True:
        await asyncio.sleep(_TICK)
        if store.frozen is None:
            clock.catch_up(store)
        store.save()
