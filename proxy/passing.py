"""Passing events on in the moment they come, while the call's task sleeps.

Most of a stream is text that needs no second look, for a client that takes it. Waking the task for
each event costs as much as all that is done with it, so such events go straight from the
provider's connection to the client's. Whatever needs more than that is left to the task: the first
event, usage, errors, the end, an event in pieces, a client that is slow.
"""

from collections.abc import Awaitable, Generator, MutableMapping
from typing import Any

from django.conf import settings

from proxy.call import Call, Cut
from proxy.delivery import Delivery
from proxy.responses import Send
from proxy.sse import Splitter
from proxy.stepping import Rest


class ClientGone(Exception):
    """The client left, or did not take the end of an answer; found out by sending."""


class Passing:
    """``take`` is for ``Answer.read``, once the answer has begun to be sent."""

    __slots__ = ("_call", "_delivery", "_idle", "_send", "_splitter")

    def __init__(self, call: Call, delivery: Delivery, splitter: Splitter, send: Send) -> None:
        self._call = call
        self._delivery = delivery
        self._splitter = splitter
        self._send = send
        self._idle = settings.UPSTREAM_IDLE_SECONDS

    def take(self, chunk: bytes) -> bool | Awaitable[None]:
        """Pass on whole events of text alone; false, and nothing done, for all others. What is
        answered for a client that does not take them at once is to be awaited."""
        call = self._call
        if self._splitter.held or not chunk.endswith(b"\n\n") or not call.meter.skim(chunk):
            return False
        try:
            out = self._delivery.pass_on(chunk)
            if out:
                message = {"type": "http.response.body", "body": out, "more_body": True}
                if (rest := begin(self._send, message)) is not None:
                    call.wait(settings.CLIENT_STALL_SECONDS, Cut.CLIENT_STALLED)
                    return _After(call, rest)
        except Exception as error:
            return _Failed(error)
        call.wait(self._idle, Cut.UPSTREAM_STALLED)
        return True


def begin(send: Send, message: MutableMapping[str, Any]) -> Awaitable[None] | None:
    """Send as far as that goes without waiting; what is left of it, if anything is."""
    sending = send(message).__await__()
    try:
        blocked = next(sending)
    except StopIteration:
        return None
    return Rest(sending, blocked)


class _After:
    """A send that goes on, and then the wait for the provider. Not a coroutine: it may be dropped
    before anybody awaits it."""

    __slots__ = ("_call", "_rest")

    def __init__(self, call: Call, rest: Awaitable[None]) -> None:
        self._call = call
        self._rest = rest

    def __await__(self) -> Generator[Any, None, None]:
        try:
            yield from self._rest.__await__()
        except (OSError, RuntimeError):
            raise ClientGone from None
        self._call.wait(settings.UPSTREAM_IDLE_SECONDS, Cut.UPSTREAM_STALLED)


class _Failed:
    """An error, to be raised in the call's task."""

    __slots__ = ("_error",)

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __await__(self) -> Generator[Any, None, None]:
        if isinstance(self._error, OSError | RuntimeError):  # as a server says that nobody is there
            raise ClientGone from None
        raise self._error
        yield
