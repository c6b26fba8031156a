"""What a process that ends (``config.shutdown``) answers otherwise than one that goes on."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson

from config.shutdown import Phase

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

RESTARTING = 1012  # the WebSocket protocol's own code for it


async def answers(phase: Phase, scope: Message, receive: Receive, send: Send) -> bool:
    """Answer a request that is none of the application's any more; False for all others."""
    if scope["type"] == "http" and scope["path"] == "/readyz":
        await _not_ready(send)
    elif scope["type"] == "websocket" and phase >= Phase.CLOSED:
        await receive()
        # A browser can't tell why a handshake was refused; a close it can read.
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": RESTARTING})
    else:
        return False
    return True


async def _not_ready(send: Send) -> None:
    body = orjson.dumps({"status": "unavailable", "checks": {"process": "is shutting down"}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"retry-after", b"5"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
