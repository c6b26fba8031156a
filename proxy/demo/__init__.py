"""The built-in provider: answers when no other has a key, in every protocol, and reports usage.

It has no model behind it. It says so, and repeats the question, so that a newcomer sees the whole
loop of a paid call: hold, stream, usage, capture, receipt.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from proxy.demo import chat, embeddings, messages, responses
from proxy.http1 import Take

PAUSE_SECONDS = 0.02

_Make = Callable[[Mapping[str, Any], str, bool], Iterator[bytes]]
# By the path that follows a provider's address.
_MAKERS: Mapping[str, _Make] = {
    "/chat/completions": chat.answer,
    "/responses": responses.answer,
    "/embeddings": embeddings.answer,
    "/v1/messages": messages.answer,
}


class DemoAnswer:
    """An answer like a provider's (``upstream.Answer``), made here."""

    status = 200

    def __init__(self, body: Mapping[str, Any], path: str, call_id: str) -> None:
        self._stream = bool(body.get("stream"))
        self._parts = _MAKERS[path](body, call_id, self._stream)
        kind = "text/event-stream" if self._stream else "application/json"
        self.headers = {"content-type": kind}

    async def read(self, take: Take | None = None) -> bytes:
        if self._stream:
            await asyncio.sleep(PAUSE_SECONDS)
        return next(self._parts, b"")

    def rest(self) -> bytes:
        """Nothing comes before it is read."""
        return b""

    async def finish(self) -> None:
        """Nothing is left to read."""

    def close(self) -> None:
        self._parts = iter(())
