"""What an attempt at an item may have cost the operator, and what its error means for the next."""

from common.errors import (
    FareboxError,
    RateLimited,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from jobs.verbs import Started
from proxy.call import Call
from proxy.errors import Overloaded, Unbounded
from proxy.ratios import Ratios


def may_pass(error: FareboxError) -> bool:
    """Whether it is worth asking again later. What is too large, or found fault with, is not."""
    if isinstance(error, Unbounded):
        return False
    return isinstance(
        error, RateLimited | UpstreamError | UpstreamTimeout | Overloaded | Unavailable
    )


def problem(error: FareboxError) -> dict[str, str]:
    return {"code": error.code, "message": error.message}


def on_its_way(call: Call, ratios: Ratios) -> int:
    """What a request that was cut off is likely to cost the operator: its input, at least."""
    if not call.sent:
        return 0
    usage, _ = call.usage(ratios)
    return call.request.model.cost_rates.amount(usage)


def lost(item: Started, call: Call, ratios: Ratios) -> int:
    """The same of the attempts that workers died at."""
    if not item.lost:
        return 0
    usage, _ = call.usage(ratios)
    return item.lost * call.request.model.cost_rates.amount(usage)
