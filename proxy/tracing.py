"""Where a paid call is told to whoever traces calls (``config.observability.tracing``).

Nothing is done while a call runs: its moments are known when it has ended, and spans are made of
them then. With nobody tracing, ``tell`` is ``None`` and a call costs one look at it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Ended:
    """A call that is booked. Moments are ``time.monotonic`` seconds: of the request, of the hold,
    of the provider's first event, of the finish's begin, and of its end. ``facts`` are the numbers
    and names that the log has of it; ``carrier`` the client's trace context (W3C)."""

    call: UUID
    route: str
    streamed: bool
    facts: Mapping[str, Any]
    started: float
    begun: float
    first_event: float | None
    finishing: float
    finished: float
    carrier: Mapping[str, str]


tell: Callable[[Ended], None] | None = None


def carrier(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """The client's trace context, if its request carries one; not ``tracestate``, which may hold
    anything."""
    value = headers.get(b"traceparent")
    return {} if value is None else {"traceparent": value.decode("latin-1")}
