"""Getting an answer from a provider, and telling what its errors mean to our client.

A provider's own trouble with us (a bad key, an empty account) is never shown as the client's.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from common.errors import (
    FareboxError,
    ModelNotFound,
    RateLimited,
    TooLarge,
    UpstreamError,
    UpstreamTimeout,
)
from common.logging import scrub
from proxy.call import Call
from proxy.context import Context
from proxy.demo import DemoAnswer
from proxy.errors import Overloaded, ProviderRefused
from proxy.upstream import Answer, read_error

# The provider's words on these are about the request itself.
_REQUEST_FAULTS = {400, 404, 409, 413, 422}
_LONGEST_MESSAGE = 1_000


async def ask(
    context: Context, call: Call, output_tokens: int, headers: Mapping[bytes, bytes], path: str
) -> Answer:
    """A provider's good answer, its body still unread. Raises what the client is to be told.

    The request is let go once it is sent: a long stream must not keep a large one in memory.
    """
    name = call.request.model.provider
    body = call.request.encode(output_tokens)
    if name == "demo":
        call.sent = True
        return DemoAnswer(call.request.body, call.request.protocol.name, str(call.id))
    provider = context.providers.get(name)
    if provider is None:
        raise ModelNotFound("The provider of this model has no key here.", param="model")
    call.request.body = {}
    answer = await context.upstream.post(provider, path, body, headers, call)
    if answer.status == 200:
        if call.request.stream:
            _expect_events(answer)
        return answer
    try:
        raise told(answer.status, answer.headers, await read_error(answer))
    finally:
        answer.close()


def _expect_events(answer: Answer) -> None:
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("text/event-stream"):
        answer.close()
        raise UpstreamError("The provider did not answer with a stream.", should_retry=False)


def told(status: int, headers: Mapping[str, str], body: bytes) -> FareboxError:
    """What a provider's status other than 200 means to our client."""
    if status in _REQUEST_FAULTS:
        message, param = _words(body)
        text = f"The provider refused the request: {message}"
        if status == 404:
            return ModelNotFound(text, param=param)
        if status == 413:
            return TooLarge(text)
        return ProviderRefused(text, provider_status=400, param=param)
    if status == 429:
        return RateLimited(
            "The provider is limiting requests; try again.",
            retry_after=_seconds(headers.get("retry-after")),
        )
    if status in {503, 529}:
        return Overloaded(
            "The provider is overloaded; try again.",
            retry_after=_seconds(headers.get("retry-after")),
        )
    if status in {408, 504}:
        return UpstreamTimeout("The provider took too long.", should_retry=False)
    return UpstreamError(f"The provider failed (status {status}).")


def told_early(event: Any) -> FareboxError:
    """What an error event means that came before anything else, after an early 200."""
    error = event.get("error") if isinstance(event, Mapping) else None
    names = {str(error.get(n)) for n in ("type", "code")} if isinstance(error, Mapping) else set()
    if "overloaded_error" in names:
        return told(529, {}, b"")
    if names & {"rate_limit_error", "rate_limit_exceeded"}:
        return told(429, {}, b"")
    if "invalid_request_error" in names:
        return told(400, {}, orjson.dumps(event))
    return UpstreamError("The provider failed before its first word.", should_retry=False)


def _words(body: bytes) -> tuple[str, str | None]:
    """A provider's error message and parameter, scrubbed of anything that looks like a key."""
    try:
        error = orjson.loads(body)["error"]
        message, param = error["message"], error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "it gave no reason.", None
    message = scrub(str(message))[:_LONGEST_MESSAGE]
    return message, param if isinstance(param, str) else None


def _seconds(value: str | None) -> int:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else 5
