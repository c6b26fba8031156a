"""Asking one provider after the other for an answer, until one has begun to give it.

Only what is the provider's fault is tried elsewhere, only before anything was passed on, and all
attempts share the time to the first event. The client is held for and billed once: what a failed
attempt may have cost is the operator's.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.conf import settings

from common.errors import FareboxError, RateLimited, UpstreamError, UpstreamTimeout
from proxy import answers
from proxy.breaker import Fault
from proxy.call import Call, Cut
from proxy.context import Context
from proxy.demo import DemoAnswer
from proxy.errors import Overloaded, Unbounded
from proxy.providers import Attempt, Way
from proxy.upstream import Answer, read_error


class Attempts:
    """The attempts of one call. ``ask`` until an answer is good, then ``answered``.

    ``pending`` is a request on its way whose asking was cut off, to a provider whose answers are
    read to the end all the same.
    """

    __slots__ = (
        "_asked", "_attempt", "_body", "_call", "_charged", "_choice", "_client", "_context",
        "_fault", "_output_tokens", "pending",
    )  # fmt: skip

    def __init__(
        self, context: Context, call: Call, output_tokens: int, client: Mapping[bytes, bytes]
    ) -> None:
        request = call.request
        self._context = context
        self._call = call
        # A switch could make the request cost more than was held for: only those count there that
        # ``proxy.request`` has seen.
        self._client = client if request.protocol.switches else {}
        self._output_tokens = output_tokens
        self._choice = context.providers.choice(
            request.model, request.protocol.name, settings.UPSTREAM_ATTEMPTS
        )
        self._attempt: Attempt | None = self._choice.next()
        self._body: bytes | None = None
        self._charged = False
        self._fault: Fault | None = None
        self._asked: float | None = None
        self.pending: asyncio.Task[Answer] | None = None

    @property
    def drains(self) -> bool:
        """Whether the answer now given is to be read to its end, whoever left."""
        return self._attempt is not None and self._attempt.way.provider.drains

    async def ask(self) -> Answer:
        """A provider's good answer, its body still unread. Raises what the client is told."""
        while True:
            assert self._attempt is not None
            try:
                answer = await self._send(self._attempt.way)
                await self._expect_good(answer)
            except FareboxError as error:
                self.go_on(error)
            else:
                self._call.provider = self._attempt.way.provider.name
                return answer

    def go_on(self, error: FareboxError) -> None:
        """The attempt failed before anything was passed on. Returns when there is another to make;
        else raises ``error``, as the client is to be told it."""
        attempt = self._attempt
        assert attempt is not None
        fault = self._fault or _fault_of(error, sent=self._call.sent)
        if fault is None:
            attempt.ended()
            self._attempt = None
            raise error
        attempt.failed(fault, self._asked)
        if fault is Fault.UNREACHABLE:
            self._choice.unreachable(attempt)
        self._charged = self._charged or error.should_retry is False
        self._attempt = self._choice.next()
        self._fault = self._asked = None
        if self._attempt is None:
            if self._charged:
                error.should_retry = False
            if (seconds := self._choice.retry_after()) is not None:
                error.retry_after = seconds
            raise error
        self._call.sent = False

    def answered(self) -> None:
        """The first event is here: this provider it is. The request need not be kept."""
        if self._attempt is not None:
            self._attempt.succeeded()
        self._body = None
        self._call.request.body = {}

    def cut(self, why: Cut | None) -> None:
        """The call is cut off before it was answered, if it was."""
        if self._attempt is not None and self._call.first_event_at is None:
            if why in {Cut.UPSTREAM_STALLED, Cut.OVERDUE}:
                self._attempt.failed(Fault.TROUBLE)
            else:
                self._attempt.ended()

    def drop(self) -> None:
        """Give up a request that is on its way."""
        pending, self.pending = self.pending, None
        if pending is not None and not pending.cancel() and not pending.exception():
            pending.result().close()  # it came at the last moment

    async def _send(self, way: Way) -> Answer:
        call, provider = self._call, way.provider
        body = self._body_for(way)
        if provider.kind == "demo":
            call.sent = True
            return DemoAnswer(call.request.body, call.request.protocol.path, call.name)
        if kind := call.request.protocol.content_type:
            provider = replace(provider, headers={**provider.headers, "content-type": kind})
        asking = self._context.upstream.post(
            provider, call.request.protocol.path, body, self._client, call
        )
        if not provider.drains:
            return await asking
        self.pending = asyncio.ensure_future(asking)
        try:
            answer = await asyncio.shield(self.pending)
        except FareboxError:
            self.pending = None
            raise
        self.pending = None
        return answer

    async def _expect_good(self, answer: Answer) -> None:
        """Raises what the client is to be told of an answer that is none."""
        if answer.status == 200:
            if self._call.request.stream:
                try:
                    answers.expect_events(answer)
                except UpstreamError:
                    await self._absorb(answer)
                    raise
            return
        self._call.sent = False  # it is not charged for, whoever leaves now
        try:
            self._fault = answers.fault_of(answer.status)
            self._asked = answers.retry_after(answer.headers)
            raise answers.told(answer.status, answer.headers, await read_error(answer))
        finally:
            answer.close()

    async def _absorb(self, answer: Answer) -> None:
        """An answer that can't be passed on may be one that was generated all the same: what it
        cost is read out of it, in bounded bytes and time, and is the operator's. The next attempt
        waits for that."""
        meter = self._call.request.protocol.meter()
        try:
            body = await read_error(answer)
        finally:
            answer.close()
        if body.startswith(b"{"):
            meter.plain(body)
        else:
            meter.feed(body)
        self._call.absorb(meter, self._context.ratios)

    def _body_for(self, way: Way) -> bytes:
        """The request as this provider takes it. It is written once, unless providers differ."""
        request = self._call.request
        if self._body is None:
            self._body = request.encode(self._output_tokens)
            if not any(_differs(one) for one in self._choice.ways):
                request.body = {}
        if not _differs(way) or way.provider.kind == "demo":
            return self._body
        return request.protocol.encode(_adapted(request.body, way, request.protocol.path))


def _differs(way: Way) -> bool:
    provider = way.provider
    return bool(
        way.upstream_name
        or provider.output_field != "max_completion_tokens"
        or not provider.asks_usage
        or provider.kind == "demo"
    )


def _adapted(body: Mapping[str, Any], way: Way, path: str) -> dict[str, Any]:
    """The same request under the model's name there, in what of the protocol is known there."""
    adapted = dict(body)
    if way.upstream_name:
        adapted["model"] = way.upstream_name
    if path == "/chat/completions":
        provider = way.provider
        limit = adapted.get("max_completion_tokens")
        if provider.output_field == "max_tokens" and limit is not None:
            del adapted["max_completion_tokens"]
            adapted["max_tokens"] = max(limit, adapted.get("max_tokens") or 0)
        if not provider.asks_usage:
            adapted.pop("stream_options", None)
    return adapted


def _fault_of(error: FareboxError, *, sent: bool) -> Fault | None:
    """What an attempt failed of that got no status, or an error after an early 200."""
    if isinstance(error, Unbounded):
        return None  # it would be as large elsewhere, and is paid for already
    if isinstance(error, RateLimited):
        return Fault.LIMITED
    if isinstance(error, UpstreamError | UpstreamTimeout | Overloaded):
        return Fault.TROUBLE if sent else Fault.UNREACHABLE
    return None
