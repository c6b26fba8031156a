"""What is still counted of an answer whose client has left.

Of one that is cut off, what has come already: the provider has generated it, and charges for it.
For providers whose policy is that (``Provider.on_leaving``), in a task of its own, within
``UPSTREAM_DRAIN_SECONDS`` and ``MAX_ANSWER_BYTES``; past them the provider is cut off, and what
came is estimated as for any other.
"""

import asyncio

import structlog
from django.conf import settings

from common.errors import FareboxError
from proxy import sse
from proxy.call import Call
from proxy.upstream import Answer, read_bounded

log = structlog.get_logger(__name__)


async def drain(
    call: Call, answer: Answer | None, pending: asyncio.Task[Answer] | None, splitter: sse.Splitter
) -> None:
    """Feed the meter what is still to come of ``answer``, or of the one that ``pending`` brings.

    Raises nothing but a cancellation, by which it ends at once. ``let_go`` is for afterwards.
    """
    try:
        async with asyncio.timeout(settings.UPSTREAM_DRAIN_SECONDS):
            if answer is None and pending is not None:
                answer = await pending
            if answer is not None and answer.status == 200:
                await _read(call, answer, splitter)
    except (TimeoutError, FareboxError, sse.EventTooLarge) as error:
        log.info("drained in part", call=str(call.id), error=type(error).__name__)
    except Exception:
        log.exception("drain failed", call=str(call.id))


def let_go(
    call: Call, answer: Answer | None, pending: asyncio.Task[Answer] | None, splitter: sse.Splitter
) -> None:
    """The drain is over, or was cut before it could begin: leave nothing open."""
    came = answer is None and pending is not None and not pending.cancel()
    if came and pending is not None and not pending.cancelled() and not pending.exception():
        answer = pending.result()
    if answer is not None and answer.status != 200:
        call.sent = False  # refused, so not charged for
    cut_off(call, answer, splitter)


def cut_off(call: Call, answer: Answer | None, splitter: sse.Splitter) -> None:
    """Drop the connection, after the meter has seen what came and was not read."""
    if answer is None:
        return
    if answer.status == 200 and call.request.stream:
        try:
            if events := splitter.feed(answer.rest()):
                call.meter.feed(events)
        except sse.EventTooLarge:
            pass
    answer.close()


async def _read(call: Call, answer: Answer, splitter: sse.Splitter) -> None:
    if not call.request.stream:
        call.meter.plain(await read_bounded(answer, settings.MAX_ANSWER_BYTES))
        return
    left = settings.MAX_ANSWER_BYTES
    while left > 0 and (chunk := await answer.read()):
        left -= len(chunk)
        if events := splitter.feed(chunk):
            call.meter.feed(events)
            if call.meter.done or call.meter.failed:
                return
