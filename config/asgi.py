"""The one ASGI application: the proxy's addresses to ``proxy.app``, everything else to Django.

A paid call never passes through Django's handler: a pooled connection would stay with it until
its stream ends (measured: ten streams empty a pool of ten).
"""

import gc
import os
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from proxy.app import PATHS, Proxy  # noqa: E402 -- its models need the set-up above

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

proxy = Proxy()


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """ASGI's entry point."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(PATHS):
        await proxy(scope, receive, send)
    else:
        await django_application(dict(scope), receive, send)


def settle_memory() -> None:
    """What was loaded stays for good: the collector need not look at it again, nor come often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await proxy.startup()
            settle_memory()
            await send({"type": "lifespan.startup.complete"})
        else:
            await proxy.shutdown()
            await send({"type": "lifespan.shutdown.complete"})
            return
