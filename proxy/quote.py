"""What a request would hold now, and cost at most: ``begin``, undone.

The very function that begins a call is run in a transaction that is rolled back, so a quote knows
everything a call would (plan, limits, caps, wallet) and no rule is written twice.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from accounts.models import ApiKey, User
from common.errors import InsufficientCredits, ModelNotFound
from common.ids import uuid7
from proxy.protocols import ANTHROPIC, OPENAI
from proxy.request import Request, parse
from usage import calls
from usage.catalog import Catalog, load
from usage.prices import MILLION
from usage.sync import configured_providers


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


def quote(*, user: User, key: ApiKey | None, raw: bytes) -> Quote:
    """Price a request as ``POST /v1/chat/completions`` or ``/v1/messages`` would take it.

    Raises what the call would raise, but for want of credits, which is an answer.
    """
    request = _parse(raw, load(providers=configured_providers()))
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


def _parse(raw: bytes, catalog: Catalog) -> Request:
    """In the protocol that the named model speaks; OpenAI's where it speaks both."""
    try:
        return parse(raw, OPENAI, catalog)
    except ModelNotFound:
        # Of Anthropic's models, or of none: then this says so.
        return parse(raw, ANTHROPIC, catalog)
