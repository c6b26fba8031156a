"""Moving a provider's answer to the client, and ending the call whatever breaks in between.

Nothing is sent before the provider's first event is here, so an early failure keeps its status.
The end mark is held back until the call is booked: who has seen it finds the receipt and the new
balance. An answer that breaks off gets an error event and is cut without its end mark, because
both official SDKs take a clean end for success.
"""

import asyncio
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog
from django.conf import settings

from common.errors import FareboxError, UpstreamError, UpstreamTimeout
from proxy import answers, responses, sse, whole
from proxy.attempts import Attempts
from proxy.call import Call, Cut
from proxy.context import Context
from proxy.drain import cut_off, drain, let_go
from proxy.errors import Stopping, Unbounded, for_the_record
from proxy.passing import ClientGone, Passing, begin
from proxy.responses import Send
from proxy.stepping import wake
from proxy.upstream import Answer
from usage.models import Call as CallRecord

log = structlog.get_logger(__name__)

Status = CallRecord.Status

# How long an answer's end waits for its booking. Past it the booking goes on by itself.
BOOKING_SECONDS = 1.0
_CLIENT = {Cut.CLIENT_LEFT, Cut.CLIENT_STALLED}


class Relay:
    """One answer on its way. ``run`` never leaves a call open."""

    def __init__(self, context: Context, call: Call, send: Send, abort: Callable[[], None]) -> None:
        self.context = context
        self.call = call
        self._send = send
        self._abort = abort
        self.protocol = call.request.protocol
        self.delivery = self.protocol.delivery(call.meter, call.name, self.protocol.shape)
        self.attempts: Attempts | None = None
        self.splitter = sse.Splitter(settings.MAX_EVENT_BYTES)
        self.answered = False
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
            self.attempts = Attempts(self.context, self.call, output_tokens, client)
            while True:
                answer = await self.attempts.ask()
                try:
                    if self.call.request.stream:
                        await self._stream(answer)
                    else:
                        await self._plain(answer)
                    break
                except FareboxError as error:
                    if self.answered:
                        raise
                    self._close(answer)
                    answer = None
                    self.attempts.go_on(error)
                    self._meter_anew()
        except FareboxError as error:
            self._close(answer)
            await self._broken(error)
        except asyncio.CancelledError:
            await self._cut(answer)
        except ClientGone:
            if self.finished:
                self._close(answer)
            elif self.attempts is not None and self.attempts.drains:
                self._drain(answer, None, Cut.CLIENT_LEFT)
            else:
                cut_off(self.call, answer, self.splitter)
                self._finish(Status.CANCELED, Cut.CLIENT_LEFT.value)
            # Returning cuts the connection.
        except Exception:
            self._close(answer)
            if self.attempts is not None:
                self.attempts.cut(None)
            log.exception("relay failed", call=self.call.name)
            await self._broken(FareboxError("Something went wrong here; it has been noted."))

    async def _stream(self, answer: Answer) -> None:
        call, meter, splitter = self.call, self.call.meter, self.splitter
        idle, stall = settings.UPSTREAM_IDLE_SECONDS, settings.CLIENT_STALL_SECONDS
        take = None
        while chunk := await answer.read(take):
            try:
                events = splitter.feed(chunk)
            except sse.EventTooLarge:
                raise Unbounded("The provider sent an endless event.", should_retry=False) from None
            chunk = b""  # who reads slowly shall not keep the same bytes twice
            if not events:
                continue
            out = self.delivery.pass_on(meter.feed(events))
            if meter.failed and not self.started and not out:
                raise answers.told_early(answers.error_in(events))
            if not self.started:
                if not meter.events_seen:
                    continue  # comments are no event: the wait for the first one goes on
                self._mark_answered()
                await self._start(answer)
                take = Passing(call, self.delivery, splitter, self._send).take
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

    def _mark_answered(self) -> None:
        """From here on there is no other provider for this call."""
        self.answered = True
        assert self.attempts is not None
        self.attempts.answered()
        self.call.mark_first_event()

    def _meter_anew(self) -> None:
        """What a failed attempt sent is not metered, nor passed on."""
        call = self.call
        call.meter = self.protocol.meter(hide_usage=not call.request.shows_usage)
        self.delivery = self.protocol.delivery(call.meter, call.name, self.protocol.shape)
        self.splitter = sse.Splitter(settings.MAX_EVENT_BYTES)

    async def _start(self, answer: Answer) -> None:
        self.started = True
        await responses.start(
            self.send,
            200,
            [
                (b"content-type", self.delivery.content_type(answer.headers["content-type"])),
                (b"cache-control", b"no-cache"),
                (b"x-accel-buffering", b"no"),
                *responses.of_call(self.call, self.protocol.shape),
            ],
        )

    async def _end(self, out: bytes) -> None:
        """Pass on what comes before the end mark, book, then send the mark."""
        first, held_back = self.delivery.split_end(out)
        if first:
            self.call.wait(settings.CLIENT_STALL_SECONDS, Cut.CLIENT_STALLED)
            await self.send({"type": "http.response.body", "body": first, "more_body": True})
        await self._booked(Status.COMPLETED)
        last = self.delivery.end(held_back, self.call.spent)
        await self._send_last({"type": "http.response.body", "body": last})

    async def _plain(self, answer: Answer) -> None:
        body = await whole.read(answer, self.call.meter)
        self._mark_answered()
        await self._booked(Status.COMPLETED)
        body = self.delivery.whole(body, self.call.spent)
        self.started = True
        headers = responses.of_call(self.call, self.protocol.shape)
        await responses.whole(self._send_last, 200, body, headers)

    async def _broken(self, error: FareboxError) -> None:
        """The provider failed. Before the first byte the client gets a status, later an event."""
        if not self.started:
            await self._booked(Status.FAILED, for_the_record(error))
            raise error
        self._finish(Status.INTERRUPTED, error.message)
        await self._last_words(error)

    async def _cut(self, answer: Answer | None) -> None:
        """The call was cancelled: by the client's leaving, by the watch, or by a shutdown."""
        why = self.call.cut
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
        if self.attempts is not None:
            self.attempts.cut(why)
            if why in _CLIENT and self.attempts.drains and self.call.sent:
                self._drain(answer, self.attempts.pending, why)
                self._abort()
                return
            self.attempts.drop()
        cut_off(self.call, answer, self.splitter)
        if why in {None, Cut.STOPPED}:  # with None the server itself has cancelled the task
            await self._broken(Stopping(should_retry=False if self.call.sent else None))
            return
        if why in _CLIENT:
            # What the provider was asked it will charge for, answered or not.
            self._finish(Status.CANCELED if self.call.sent else Status.FAILED, why.value)
            self._abort()
            return
        await self._broken(UpstreamTimeout("The provider took too long.", should_retry=False))

    def _drain(self, answer: Answer | None, pending: asyncio.Task[Answer] | None, why: Cut) -> None:
        """The call goes on without its client, and ends when its answer is read."""
        self.finished = True
        self.call.task = None  # from here on only the context's end cuts it

        def ended(_: asyncio.Task[None]) -> None:
            let_go(self.call, answer, pending, self.splitter)
            status = Status.CANCELED if self.call.sent else Status.FAILED
            self.context.finish(self.call, status, why.value)

        # Not at the task's own end: one that is cut before it begins has none.
        work = self.context.linger(drain(self.call, answer, pending, self.splitter))
        work.add_done_callback(ended)

    async def _send_last(self, message: MutableMapping[str, Any]) -> None:
        """Send when the call is booked, so nothing watches: a client that stalls is let go."""
        try:
            if (rest := begin(self._send, message)) is not None:
                async with asyncio.timeout(settings.CLIENT_STALL_SECONDS):
                    await rest
        except TimeoutError:
            self._abort()
            raise ClientGone from None
        except (OSError, RuntimeError):
            raise ClientGone from None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send, and know that a server which can't has lost the client.

        ASGI says that it raises ``OSError`` then; uvicorn over uvloop raises ``RuntimeError`` where
        it has missed the leaving, because another request waits behind this one.
        """
        try:
            await self._send(message)
        except (OSError, RuntimeError):
            raise ClientGone from None

    async def _last_words(self, error: FareboxError) -> None:
        """An error event; then the connection is cut, by returning without an end, unless the
        client's shape tells by itself that the answer is not whole."""
        event = self.delivery.broken(error)
        more = self.delivery.cut
        try:
            async with asyncio.timeout(BOOKING_SECONDS):
                await self.send({"type": "http.response.body", "body": event, "more_body": more})
        except (TimeoutError, ClientGone):
            pass  # a client that does not read gets no last words

    def _finish(self, status: str, error: str = "") -> asyncio.Task[None]:
        self.finished = True
        self.call.task = None  # from here on nothing cuts it
        return self.context.finish(self.call, status, error)

    async def _booked(self, status: str, error: str = "") -> None:
        """Finish, and wait for it a while."""
        task = self._finish(status, error)
        loop = asyncio.get_running_loop()
        booked = loop.create_future()  # ``asyncio.wait`` does the same, and costs thrice as much
        task.add_done_callback(lambda _: wake(booked))
        timer = loop.call_later(BOOKING_SECONDS, wake, booked)
        try:
            await booked
        finally:
            timer.cancel()

    def _close(self, answer: Answer | None) -> None:
        if answer is not None:
            answer.close()
