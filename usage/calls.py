"""begin and finish of a paid call: one round trip and one commit each.

The rules are in ``usage/sql``; here they get their arguments, and refusals get their words.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from accounts.presented import ENDED_KEY, ENDED_SIGN_IN
from common.errors import (
    BadInput,
    FareboxError,
    InsufficientCredits,
    NotAuthenticated,
    PermissionRefused,
    RateLimited,
    WalletFrozen,
)
from common.money import format_credits
from ledger.database import Statement, verb
from usage.prices import Usage


@dataclass(frozen=True)
class Begun:
    """A call that may start: what is held (microcredits), and how many output tokens a choice."""

    held: int
    output_tokens: int
    available: int


@dataclass(frozen=True)
class Finished:
    """How a call ended, microcredits. ``repeated``: it had ended before; this is that result.
    ``user`` is the id of whoever made it; ``crossed``: it has made their wallet low."""

    spent: int
    returned: int
    written_off: int
    repeated: bool
    user: int
    crossed: bool = False


@dataclass(frozen=True)
class WorstCase:
    """The most a call can cost, as ``begin`` needs it.

    ``input_units`` are millionths of a microcredit, ``output_rate`` microcredits per million
    tokens, ``output_tokens`` the bound of each of ``choices``; ``exact`` when the client named
    it, else it may be clamped down to ``floor`` to fit the wallet.
    """

    input_tokens: int
    input_units: int
    output_rate: int
    output_tokens: int
    choices: int
    exact: bool
    floor: int


@verb
def begin(
    *,
    call: uuid.UUID,
    digest: bytes | None,
    user: int | None,
    token: str | None = None,
    session: str | None = None,
    model: str,
    metadata: Mapping[str, Any],
    worst: WorstCase,
    lease: timedelta,
    top_up_url: str,
) -> Statement[Begun]:
    """Check everything and hold the worst case, for one of: an API key (its digest), somebody
    signed in (``token``, an access token's hash, or ``session``, its key), or a known user.

    Raises ``NotAuthenticated``, ``PermissionRefused``, ``BadInput``, ``RateLimited``,
    ``InsufficientCredits`` and ``WalletFrozen``; then nothing is held and nothing counted.
    """

    def read(row: Sequence[Any]) -> Begun:
        outcome, held, output_tokens, available, needed, affordable, detail = row
        if outcome == "ok":
            return Begun(held, output_tokens, available)
        raise _refusal(outcome, available, needed, affordable, detail, worst, top_up_url)

    return Statement(
        "SELECT * FROM usage_begin(%(call)s, %(digest)s, %(user)s, %(token)s, %(session)s,"
        " %(model)s, %(metadata)s::jsonb, %(input_tokens)s, %(input_units)s,"
        " %(output_rate)s, %(output_tokens)s, %(exact)s, %(floor)s, %(choices)s, %(lease)s)",
        {
            "call": call,
            "digest": digest,
            "user": user,
            "token": token,
            "session": session,
            "model": model,
            "metadata": orjson.dumps(metadata).decode(),
            "lease": lease,
            **vars(worst),
        },
        read,
    )


def _finished(row: Sequence[Any]) -> Finished:
    spent, returned, written_off, repeated, user, crossed = row
    return Finished(spent, returned, written_off, repeated, user, bool(crossed))  # NULL is no


@verb
def finish(
    *,
    call: uuid.UUID,
    status: str,
    charge: int,
    cost: int,
    usage: Usage,
    estimated: bool,
    error: str = "",
    first_event_ms: int | None = None,
) -> Statement[Finished]:
    """End a call: take ``charge``, give the rest of the hold back, record and count it.

    ``cost`` is what the provider asks. Called twice it answers the first result; called after the
    sweeper it sets the difference right.
    """
    return Statement(
        "SELECT * FROM usage_finish(%(call)s, %(status)s, %(charge)s, %(cost)s, %(usage)s::jsonb,"
        " %(estimated)s, %(error)s, %(first_event_ms)s)",
        {
            "call": call,
            "status": status,
            "charge": charge,
            "cost": cost,
            "usage": orjson.dumps(usage.as_dict()).decode(),
            "estimated": estimated,
            "error": error,
            "first_event_ms": first_event_ms,
        },
        _finished,
        lambda finished: finished.user,
    )


@verb
def checkpoint(
    *, calls: Mapping[uuid.UUID, Mapping[str, Any] | None], lease: timedelta
) -> Statement[int]:
    """Renew the leases of open calls and keep their cost so far; answers how many were open.

    A checkpoint is ``{"charge", "cost", "usage"}``, or ``None`` while nothing is known.
    """
    return Statement(
        "SELECT usage_checkpoint(%(calls)s::uuid[], %(checkpoints)s::jsonb, %(lease)s)",
        {
            "calls": list(calls),
            "checkpoints": json.dumps(list(calls.values())),
            "lease": lease,
        },
        lambda row: int(row[0]),
    )


def _refusal(
    outcome: str,
    available: int,
    needed: int,
    affordable: int,
    detail: int,
    worst: WorstCase,
    top_up_url: str,
) -> FareboxError:
    match outcome:
        case "invalid_key":
            return NotAuthenticated(ENDED_KEY)
        case "signed_out":
            return NotAuthenticated(ENDED_SIGN_IN)
        case "scope":
            return PermissionRefused("This API key has no scope for AI calls.")
        case "plan_inactive":
            return PermissionRefused(f"Your plan is not active. Renew it at {top_up_url}.")
        case "model_refused":
            return PermissionRefused("Your plan does not include this model.", param="model")
        case "output_bound":
            return BadInput(
                f"Your plan allows at most {detail} output tokens a call.", param="max_tokens"
            )
        case "rate_limited":
            return RateLimited(
                f"Your plan's requests a minute are used up; try again in {detail} s.",
                retry_after=int(detail),
            )
        case "too_many_open":
            return RateLimited(
                f"Your plan allows {detail} calls at once; wait for one to end.", retry_after=1
            )
        case "frozen":
            return WalletFrozen(
                f"A refunded or disputed payment was already spent: {format_credits(detail)} "
                "credits are owed, and the wallet is frozen until they are settled. Buy credits "
                f"at {top_up_url} to settle them."
            )
        case "quota":
            return InsufficientCredits(
                f"Your plan's monthly quota is used up. See {top_up_url}.", should_retry=False
            )
        case "key_cap" | "insufficient":
            holder = "this key's monthly cap leaves" if outcome == "key_cap" else "there are"
            tokens = (
                f"; that is enough for max_tokens={affordable}"
                if worst.exact and affordable > 0
                else ""
            )
            return InsufficientCredits(
                f"This call may need {format_credits(needed)} credits and {holder} "
                f"{format_credits(available)} available{tokens}. Top up at {top_up_url}.",
                should_retry=False,
            )
    raise AssertionError(f"usage_begin answered {outcome!r}")
