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
    WalletFrozen,
)
from common.money import format_credits
from ledger.database import Statement, verb
from usage import limits
from usage.idempotency import Completed, InProgress, Key, KeyReused
from usage.limits import Limits, OverLimit
from usage.prices import Usage


class OutOfCredits(InsufficientCredits):
    """The wallet has less than is needed. A key's cap and a plan's quota are something else."""


@dataclass(frozen=True)
class Begun:
    """A call that may start: what is held (microcredits), how many output tokens a choice, and what
    the plan's limits leave, if it has any. ``user`` is the id of whoever calls."""

    held: int
    output_tokens: int
    available: int
    limits: Limits | None = None
    user: int | None = None


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
    it, else it may be clamped down to ``floor`` to fit the wallet. ``limit_field`` is what the
    request calls its bound: refusals name it.
    """

    input_tokens: int
    input_units: int
    output_rate: int
    output_tokens: int
    choices: int
    exact: bool
    floor: int
    limit_field: str = "max_tokens"

    def enough(self, affordable: int) -> str:
        """Words for a refusal that so many output tokens would not have met."""
        if affordable <= 0 or not self.output_tokens:
            return ""
        return f"; that is enough for {self.limit_field}={affordable}"


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
    key: Key | None = None,
) -> Statement[Begun]:
    """Check everything and hold the worst case, for one of: an API key (its digest), somebody
    signed in (``token``, an access token's hash, or ``session``, its key), or a known user.

    ``key`` is the caller's Idempotency-Key: with one, ``call`` may be begun again under the same
    id, and answers the same, when it is not known whether it was begun.

    Raises ``NotAuthenticated``, ``PermissionRefused``, ``BadInput``, ``OverLimit``,
    ``InsufficientCredits`` and ``WalletFrozen``, and for a key ``InProgress``, ``Completed`` and
    ``KeyReused``; then nothing is held and nothing counted.
    """

    def read(row: Sequence[Any]) -> Begun:
        outcome, held, output_tokens, available, needed, affordable, detail, left, earlier = row
        if outcome == "ok":
            return Begun(held, output_tokens, available, limits.read(left), detail)
        if earlier is not None:
            raise _second(outcome, earlier)
        if left is not None:
            raise _over_limit(outcome, needed, detail, Limits(*left))
        raise refusal(outcome, available, needed, affordable, detail, worst, top_up_url)

    return Statement(
        "SELECT outcome, held, output_tokens, available, needed, affordable, detail, limits,"
        " earlier FROM usage_begin(%(call)s, %(digest)s, %(user)s, %(token)s, %(session)s,"
        " %(model)s, %(metadata)s::jsonb, %(input_tokens)s, %(input_units)s,"
        " %(output_rate)s, %(output_tokens)s, %(exact)s, %(floor)s, %(choices)s, %(lease)s,"
        " %(key)s, %(request)s)",
        {
            "call": call,
            "digest": digest,
            "user": user,
            "token": token,
            "session": session,
            "model": model,
            "metadata": orjson.dumps(metadata).decode(),
            "lease": lease,
            "key": key and key.key,
            "request": key and key.request,
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
    provider: str | None = None,
) -> Statement[Finished]:
    """End a call: take ``charge``, give the rest of the hold back, record and count it.

    ``cost`` is what the provider asks; ``provider`` who answered, where that is another than begin
    expected. Called twice it answers the first result; called after the sweeper it sets the
    difference right.
    """
    return Statement(
        "SELECT * FROM usage_finish(%(call)s, %(status)s, %(charge)s, %(cost)s, %(usage)s::jsonb,"
        " %(estimated)s, %(error)s, %(first_event_ms)s, %(provider)s)",
        {
            "call": call,
            "status": status,
            "charge": charge,
            "cost": cost,
            "usage": orjson.dumps(usage.as_dict()).decode(),
            "estimated": estimated,
            "error": error,
            "first_event_ms": first_event_ms,
            "provider": provider,
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


def _second(outcome: str, earlier: uuid.UUID) -> FareboxError:
    """Why a call is refused whose Idempotency-Key another call has."""
    match outcome:
        case "in_progress":
            return InProgress()
        case "completed":
            return Completed(earlier)
        case "key_reused":
            return KeyReused()
    raise AssertionError(f"usage_begin answered {outcome!r}")


def _over_limit(outcome: str, needed: int, detail: int, left: Limits) -> OverLimit:
    """Which limit of the plan is used up, and when to try again."""
    match outcome:
        case "rate_limited":
            message = f"Your plan's requests a minute are used up; try again in {detail} s."
            return OverLimit(message, retry_after=detail, policy="requests", limits=left)
        case "tokens_limited":
            message = (
                f"This call may need {needed} tokens, and of your plan's tokens a minute "
                f"{max(left.tokens_left or 0, 0)} are left; try again in {detail} s, or "
                "with a smaller bound on the answer."
            )
            return OverLimit(message, retry_after=detail, policy="tokens", limits=left)
        case "too_many_open":
            message = f"Your plan allows {detail} calls at once; wait for one to end."
            return OverLimit(message, retry_after=1, policy="calls", limits=left)
    raise AssertionError(f"usage_begin answered {outcome!r}")


def refusal(
    outcome: str,
    available: int,
    needed: int,
    affordable: int,
    detail: int,
    worst: WorstCase,
    top_up_url: str,
) -> FareboxError:
    """What ``usage_begin``'s outcome means for who called, in words."""
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
                f"Your plan allows at most {detail} output tokens a call.",
                param=worst.limit_field,
            )
        case "token_bound":
            return BadInput(
                f"This call may need {needed} tokens and your plan allows {detail} a minute"
                f"{worst.enough(affordable)}.",
                param=worst.limit_field,
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
            tokens = worst.enough(affordable) if worst.exact else ""
            kind = OutOfCredits if outcome == "insufficient" else InsufficientCredits
            return kind(
                f"This call may need {format_credits(needed)} credits and {holder} "
                f"{format_credits(available)} available{tokens}. Top up at {top_up_url}.",
                should_retry=False,
            )
    raise AssertionError(f"usage_begin answered {outcome!r}")
