"""The one ASGI application: the proxy's addresses to ``proxy.app``, the account's socket to its
consumer, plain new jobs to ``jobs.app``, everything else to Django.

A paid call never passes through Django's handler: a pooled connection would stay with it until
its stream ends (measured: ten streams empty a pool of ten).
"""

import gc
import os
import warnings
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

from config.observability.start import start

start()  # it adds to the middleware
django_handler = get_asgi_application()

from accounts import extensions, tickets  # noqa: E402
from accounts.backups import MOST_BYTES  # noqa: E402
from accounts.consumers import PATH as ACCOUNT_SOCKET  # noqa: E402
from accounts.consumers import AccountConsumer  # noqa: E402
from accounts.hub import Hub  # noqa: E402
from billing import webhooks  # noqa: E402
from config import leaving  # noqa: E402
from config.bodies import BoundedBodies  # noqa: E402
from config.shutdown import stopping  # noqa: E402
from config.systemd import notify  # noqa: E402
from jobs.app import PATH as NEW_JOBS  # noqa: E402
from jobs.app import NewJobs  # noqa: E402
from proxy.app import PATHS, Proxy  # noqa: E402 -- its models need the set-up above
from usage.state import states_of  # noqa: E402

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

django_application = BoundedBodies(
    django_handler,
    most=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    less={"/api/backup": MOST_BYTES, "/stripe/webhook/": webhooks.MOST_BYTES},
    forms={"/api/jobs": settings.JOB_AUDIO_BYTES + settings.DATA_UPLOAD_MAX_MEMORY_SIZE},
)
proxy = Proxy()
new_jobs = NewJobs(proxy.startup, django_application)
hub = Hub(states_of)
account_socket = AccountConsumer.as_asgi(hub=hub)


# Files (WhiteNoise's, a user's export) are read a piece at a time, in a thread: that is meant.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")


async def application(scope: Message, receive: Receive, send: Send) -> None:
    """ASGI's entry point."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif stopping.phase and await leaving.answers(stopping.phase, scope, receive, send):
        return
    elif scope["type"] == "http" and scope["path"].startswith(PATHS):
        await proxy(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == NEW_JOBS:
        await new_jobs(scope, receive, send)
    elif scope["type"] == "websocket":
        if scope["path"] == ACCOUNT_SOCKET:
            await account_socket(scope, receive, send)
        else:
            await send({"type": "websocket.close"})  # before it is accepted: 403
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
            await extensions.sync_at_start()
            settle_memory()
            stopping.watch(proxy.cut)
            notify("READY=1")
            await send({"type": "lifespan.startup.complete"})
        else:
            await hub.stop()
            await new_jobs.close()
            await proxy.shutdown(stopping.seconds_left)
            await tickets.close()
            stopping.over()
            await send({"type": "lifespan.shutdown.complete"})
            return
