"""Moving a provider's answer to the client, and ending the call whatever breaks in between.

Nothing is sent before the provider's first event is here, so an early failure keeps its status.
The end mark is held back until the call is booked: who has seen it finds the receipt and the new
balance. An answer that breaks off gets an error event and is cut without its end mark, because
both official SDKs take a clean end for success.
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import orjson
import structlog
from django.conf import settings

from common.errors import FareboxError, Unavailable, UpstreamError, UpstreamTimeout
from proxy import answers, errors, responses, sse
from proxy.call import Call, Cut
from proxy.context import Context
from proxy.responses import Send
from proxy.upstream import Answer, read_bounded
from usage.models import Call as CallRecord

log = structlog.get_logger(__name__)

Status = CallRecord.Status

# How long an answer's end waits for its booking. Past it the booking goes on by itself.
BOOKING_SECONDS = 1.0
_CLIENT = {Cut.CLIENT_LEFT, Cut.CLIENT_STALLED}


class _ClientGone(Exception):
    """The client left, or did not take the end of an answer; found out by sending."""


class Relay:
    """One answer on its way. ``run`` never leaves a call open."""

    def __init__(self, context: Context, call: Call, send: Send, abort: Callable[[], None]) -> None:
        self.context = context
        self.call = call
        self._send = send
        self._abort = abort
        self.protocol = call.request.protocol
        self.started = False
        self.finished = False

    async def run(self, output_tokens: int, client: Mapping[bytes, bytes]) -> None:
        """Ask the provider for at most so many output tokens a choice, and pass its answer on.

        Raises a ``FareboxError`` when nothing was sent yet: the hold is released by then.
        """
        answer: Answer | None = None
        try:
            seconds = settings.UPSTREAM_FIRST_EVENT_SECONDS
            if not self.call.request.stream:
                seconds = settings.UPSTREAM_PLAIN_SECONDS
            self.call.wait(seconds, Cut.UPSTREAM_STALLED)
            answer = await answers.ask(
                self.context, self.call, output_tokens, client, self.protocol.path
            )
            if self.call.request.stream:
                await self._stream(answer)
            else:
                await self._plain(answer)
        except FareboxError as error:
            self._close(answer)
            await self._broken(error)
        except asyncio.CancelledError:
            self._close(answer)
            await self._cut()
        except _ClientGone:
            self._close(answer)
            if not self.finished:
                self._finish(Status.CANCELED, Cut.CLIENT_LEFT.value)
            # Returning cuts the connection.
        except Exception:
            self._close(answer)
            log.exception("relay failed", call=str(self.call.id))
            await self._broken(FareboxError("Something went wrong here; it has been noted."))

    async def _stream(self, answer: Answer) -> None:
        call, meter = self.call, self.call.meter
        splitter = sse.Splitter(settings.MAX_EVENT_BYTES)
        idle, stall = settings.UPSTREAM_IDLE_SECONDS, settings.CLIENT_STALL_SECONDS
        while chunk := await answer.read():
            try:
                events = splitter.feed(chunk)
            except sse.EventTooLarge:
                raise UpstreamError(
                    "The provider sent an endless event.", should_retry=False
                ) from None
            if not events:
                continue
            out = meter.feed(events)
            if meter.failed and not self.started and not out:
                raise answers.told_early(_error_in(events))
            if not self.started:
                if not meter.events_seen:
                    continue  # comments are no event: the wait for the first one goes on
                call.mark_first_event()
                await self._start(answer)
            if meter.done and not meter.failed:
                await self._end(out)
                await answer.finish()
                return
            if out:
                call.wait(stall, Cut.CLIENT_STALLED)
                await self.send({"type": "http.response.body", "body": out, "more_body": True})
            if meter.failed:
                raise UpstreamError("The provider broke off with an error.", should_retry=False)
            call.wait(idle, Cut.UPSTREAM_STALLED)
        raise UpstreamError("The provider's answer ended too early.", should_retry=False)

    async def _start(self, answer: Answer) -> None:
        self.started = True
        call_id = str(self.call.id)
        await responses.start(
            self.send,
            200,
            [
                (b"content-type", answer.headers["content-type"].encode("latin-1")),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                (b"x-farebox-call", call_id.encode()),
                *responses.ids(self.protocol.name, call_id),
            ],
        )

    async def _end(self, out: bytes) -> None:
        """Pass on what comes before the end mark, book, then send the mark."""
        place = out.rfind(self.call.meter.END)
        if place > 0:
            self.call.wait(settings.CLIENT_STALL_SECONDS, Cut.CLIENT_STALLED)
            await self.send({"type": "http.response.body", "body": out[:place], "more_body": True})
            out = out[place:]
        await self._booked(Status.COMPLETED)
        await self._send_last({"type": "http.response.body", "body": out})

    async def _plain(self, answer: Answer) -> None:
        body = await read_bounded(answer, settings.MAX_ANSWER_BYTES)
        _expect_json(body)
        self.call.meter.plain(body)
        self.call.mark_first_event()
        await self._booked(Status.COMPLETED)
        self.started = True
        call_id = str(self.call.id)
        headers = [(b"x-farebox-call", call_id.encode())]
        headers += responses.ids(self.protocol.name, call_id)
        await responses.whole(self._send_last, 200, body, headers)

    async def _broken(self, error: FareboxError) -> None:
        """The provider failed. Before the first byte the client gets a status, later an event."""
        if not self.started:
            await self._booked(Status.FAILED, error.message)
            raise error
        self._finish(Status.INTERRUPTED, error.message)
        await self._last_words(error)

    async def _cut(self) -> None:
        """The call was cancelled: by the client's leaving, by the watch, or by a shutdown."""
        why = self.call.cut
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        if why is None:  # the server is shutting down; the call's task ends with this
            await self._broken(
                Unavailable(
                    "The service is starting anew; try again.",
                    retry_after=2,
                    should_retry=False if self.call.sent else None,
                )
            )
            return
        if why in _CLIENT:
            # What the provider was asked it will charge for, answered or not.
            self._finish(Status.CANCELED if self.call.sent else Status.FAILED, why.value)
            self._abort()
            return
        await self._broken(UpstreamTimeout("The provider took too long.", should_retry=False))

    async def _send_last(self, message: MutableMapping[str, Any]) -> None:
        """Send when the call is booked, so nothing watches: a client that stalls is let go."""
        try:
            async with asyncio.timeout(settings.CLIENT_STALL_SECONDS):
                await self.send(message)
        except TimeoutError:
            self._abort()
            raise _ClientGone from None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send, and know that a server which can't has lost the client.

        ASGI says that it raises ``OSError`` then; uvicorn over uvloop raises ``RuntimeError`` where
        it has missed the leaving, because another request waits behind this one.
        """
        try:
            await self._send(message)
        except (OSError, RuntimeError):
            raise _ClientGone from None

    async def _last_words(self, error: FareboxError) -> None:
        """An error event; then the connection is cut, by returning without an end."""
        event = errors.event(error, self.protocol.name, str(self.call.id))
        try:
            async with asyncio.timeout(BOOKING_SECONDS):
                await self.send({"type": "http.response.body", "body": event, "more_body": True})
        except (TimeoutError, _ClientGone):
            pass  # a client that does not read gets no last words

    def _finish(self, status: str, error: str = "") -> asyncio.Task[None]:
        self.finished = True
        self.call.task = None  # from here on nothing cuts it
        return self.context.finish(self.call, status, error)

    async def _booked(self, status: str, error: str = "") -> None:
        """Finish, and wait for it a while."""
        await asyncio.wait({self._finish(status, error)}, timeout=BOOKING_SECONDS)

    def _close(self, answer: Answer | None) -> None:
        if answer is not None:
            answer.close()


def _error_in(events: bytes) -> object:
    """The first error event's data."""
    for event in sse.split(events):
        try:
            value = orjson.loads(sse.data(event))
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict) and "error" in value:
            return value
    return None


def _expect_json(body: bytes) -> None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise UpstreamError("The provider's answer is not understood.", should_retry=False)
    if answer.get("error") and not (answer.get("choices") or answer.get("content")):
        raise answers.told_early(answer)
