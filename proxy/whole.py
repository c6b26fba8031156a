"""An answer that is read whole: for a client that wants no stream, or with no client at all."""

import asyncio

from django.conf import settings

from common.errors import FareboxError
from proxy import answers
from proxy.attempts import Attempts
from proxy.call import Call
from proxy.context import Context
from proxy.meter import Meter
from proxy.upstream import Answer, read_bounded


async def read(answer: Answer, meter: Meter) -> bytes:
    """The body of an answer that is not streamed, once the meter has seen it.

    Raises ``UpstreamError`` for what is too large, and for what is no answer.
    """
    body = await read_bounded(answer, settings.MAX_ANSWER_BYTES)
    answers.expect_json(body)
    meter.plain(body)
    return body


async def ask(context: Context, call: Call, output_tokens: int) -> bytes:
    """Ask one provider after the other, for nobody who waits at the other end of a connection, for
    at most so many output tokens a choice.

    Raises what the last of them failed of. Cancelled, it drops what is on its way.
    """
    attempts = Attempts(context, call, output_tokens, {})
    answer: Answer | None = None
    try:
        while True:
            answer = await attempts.ask()
            try:
                body = await read(answer, call.meter)
            except FareboxError as error:
                answer.close()
                answer = None
                attempts.go_on(error)
                call.meter = call.request.protocol.meter()
            else:
                attempts.answered()
                call.mark_first_event()
                return body
    except asyncio.CancelledError:
        if answer is not None:
            answer.close()
        attempts.cut(call.cut)
        attempts.drop()
        raise
