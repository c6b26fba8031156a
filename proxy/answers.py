"""What a provider's answer that is none means: to our client, and to the next attempt.

A provider's own trouble with us (a bad key, an empty account) is never shown as the client's.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
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
from proxy import sse
from proxy.breaker import Fault
from proxy.errors import REFUSED, Overloaded, ProviderRefused
from proxy.upstream import Answer

# The provider's words on these are about the request itself.
_REQUEST_FAULTS = {400, 404, 409, 413, 422}
_LONGEST_MESSAGE = 1_000


def expect_events(answer: Answer) -> None:
    """Raises ``UpstreamError`` for what is no stream of events."""
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("text/event-stream"):
        raise UpstreamError("The provider did not answer with a stream.", should_retry=False)


def fault_of(status: int) -> Fault | None:
    """Whose fault a status other than 200 is: ``None`` for the request's."""
    if status in _REQUEST_FAULTS:
        return None
    if status == 429:
        return Fault.LIMITED
    if status in {401, 402}:
        return Fault.REFUSED
    return Fault.FORBIDDEN if status == 403 else Fault.TROUBLE


def retry_after(headers: Mapping[str, str]) -> float | None:
    """For how many seconds a provider asks to be left alone: a number or a date (RFC 9110, section
    10.2.3), or OpenAI's milliseconds; ``None`` when it does not say."""
    exact = headers.get("retry-after-ms", "")
    if exact.isascii() and exact.isdigit() and len(exact) < 9:
        return int(exact) / 1000
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no date, one without a zone, or of no year
        return None
    return seconds if seconds > 0 else None


def told(status: int, headers: Mapping[str, str], body: bytes) -> FareboxError:
    """What a provider's status other than 200 means to our client."""
    if status in _REQUEST_FAULTS:
        message, param = _words(body)
        text = f"{REFUSED}: {message}"
        if status == 404:
            return ModelNotFound(text, param=param)
        if status == 413:
            return TooLarge(text)
        return ProviderRefused(text, provider_status=400, param=param)
    if status == 429:
        return RateLimited(
            "The provider is limiting requests; try again.",
            retry_after=_seconds(headers),
        )
    if status in {503, 529}:
        return Overloaded(
            "The provider is overloaded; try again.",
            retry_after=_seconds(headers),
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


def error_in(events: bytes) -> object:
    """The first error event's data."""
    for event in sse.split(events):
        try:
            value = orjson.loads(sse.data(event))
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            if "error" in value:
                return value
            if value.get("type") == "error":  # as the reference of Responses has it
                return {"error": value}
            response = value.get("response")
            if isinstance(response, dict) and response.get("error"):
                return response
    return None


def expect_json(body: bytes) -> None:
    """Raises what the client is told of a plain answer that is none."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise UpstreamError("The provider's answer is not understood.", should_retry=False)
    if answer.get("error") and not (
        answer.get("choices") or answer.get("content") or answer.get("output")
    ):
        raise told_early(answer)


def _words(body: bytes) -> tuple[str, str | None]:
    """A provider's error message and parameter, scrubbed of anything that looks like a key."""
    try:
        error = orjson.loads(body)["error"]
        message, param = error["message"], error.get("param")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return "it gave no reason.", None
    message = scrub(str(message))[:_LONGEST_MESSAGE]
    return message, param if isinstance(param, str) else None


def _seconds(headers: Mapping[str, str]) -> int:
    asked = retry_after(headers)
    return 5 if asked is None else math.ceil(asked)
