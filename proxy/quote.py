"""What a request would hold now, and cost at most: ``begin``, undone.

The very function that begins a call is run in a transaction that is rolled back, so a quote knows
everything a call would (plan, limits, caps, wallet) and no rule is written twice.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from accounts.models import ApiKey, User
from common.errors import BadInput, InsufficientCredits, ModelNotFound
from common.ids import uuid7
from proxy.request import Request
from proxy.routes import PAID
from usage import calls
from usage.catalog import Catalog, load
from usage.prices import MILLION
from usage.providers import configured_providers


@dataclass(frozen=True)
class Quote:
    """Amounts in microcredits. ``held`` is ``None`` when the call would be refused for money, and
    ``reason`` then says what it would be told. ``output_tokens`` is the bound of each choice."""

    model: str
    held: int | None
    at_most: int
    input_tokens: int
    output_tokens: int
    affordable: bool
    reason: str


def quote(*, user: User, key: ApiKey | None, raw: bytes, path: str = "") -> Quote:
    """Price a request as ``path`` would take it, one of the paid addresses; without one, as a chat
    completion or a message, whichever its model answers to.

    Raises what the call would raise, but for want of credits, which is an answer.
    """
    request = _parse(raw, path, load(providers=configured_providers()))
    worst = request.worst
    output, held, reason = worst.output_tokens, None, ""
    try:
        with transaction.atomic():
            begun = calls.begin(
                call=uuid7(),
                digest=bytes(key.digest) if key else None,
                user=None if key else user.pk,
                model=request.model.name,
                metadata={},
                worst=worst,
                lease=timedelta(seconds=1),
                top_up_url=f"{settings.PUBLIC_URL}/dashboard/billing/",
            )
            transaction.set_rollback(True)
        held, output = begun.held, begun.output_tokens
    except InsufficientCredits as refusal:
        reason = refusal.message
    units = worst.input_units + worst.choices * output * worst.output_rate
    return Quote(
        model=request.model.name,
        held=held,
        at_most=-(-units // MILLION),
        input_tokens=worst.input_tokens,
        output_tokens=output,
        affordable=held is not None,
        reason=reason,
    )


def _parse(raw: bytes, path: str, catalog: Catalog) -> Request:
    if path:
        if path not in PAID:
            raise BadInput(f"path: must be one of {', '.join(PAID)}.", param="path")
        return PAID[path](raw, catalog, {})
    try:
        return PAID["/v1/chat/completions"](raw, catalog, {})
    except ModelNotFound:
        # Of Anthropic's models, or of none: then this says so.
        return PAID["/v1/messages"](raw, catalog, {})
