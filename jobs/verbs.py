"""What can be done with a job; the rules are in ``jobs/sql``.

Who has an account creates and cancels; a worker claims, starts items, finishes them, or gives the
job back. Each is one statement, so that money, items and job change together or not at all.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import orjson

from ledger.database import Statement, verb
from usage.calls import Finished
from usage.prices import Usage


@dataclass(frozen=True)
class Claimed:
    """A job that a worker holds; ``places`` are the items that are still to be done, ``seconds``
    how long its deadline is away."""

    id: uuid.UUID
    token: uuid.UUID
    user: int
    kind: str
    attempts: int
    seconds: float
    places: tuple[int, ...]


@dataclass(frozen=True)
class Started:
    """An item that is to be asked now. Amounts are microcredits; ``price`` is the price version
    that was held by; ``lost`` counts the workers that died at it, ``absorbed`` what earlier
    attempts are known to have cost."""

    call: uuid.UUID
    input: str
    output_tokens: int
    held: int
    lost: int
    absorbed: int
    price: int


@dataclass(frozen=True)
class ItemFinished(Finished):
    """How an item ended, and its job as that left it."""

    state: str = ""
    done: int = 0
    failed: int = 0
    total_spent: int = 0


def _value(row: Sequence[Any]) -> Any:
    """The JSON in a row: Django's cursors leave it as text, plain psycopg's have parsed it."""
    return json.loads(row[0]) if isinstance(row[0], str) else row[0]


@verb
def claim(*, limit: int, lease: timedelta) -> Statement[list[Claimed]]:
    """Take up to ``limit`` jobs that are due."""

    def read(row: Sequence[Any]) -> list[Claimed]:
        return [
            Claimed(
                uuid.UUID(one["id"]),
                uuid.UUID(one["token"]),
                one["user_id"],
                one["kind"],
                one["attempts"],
                one["seconds"],
                tuple(one["places"]),
            )
            for one in _value(row)
        ]

    return Statement(
        "SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM jobs_claim(%(limit)s, %(lease)s) c",
        {"limit": limit, "lease": lease},
        read,
    )


def _mine(row: Sequence[Any]) -> dict[uuid.UUID, bool]:
    return {uuid.UUID(job): cancel for job, cancel in _value(row)}


@verb
def look(*, held: Mapping[uuid.UUID, uuid.UUID]) -> Statement[dict[uuid.UUID, bool]]:
    """Which of the jobs (each with its token) are still the worker's; of each, whether it is to be
    canceled."""
    return Statement(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(id, cancel)), '[]')"
        " FROM jobs_look(%(jobs)s::uuid[], %(tokens)s::uuid[])",
        {"jobs": list(held), "tokens": list(held.values())},
        _mine,
    )


@verb
def renew(
    *, held: Mapping[uuid.UUID, uuid.UUID], lease: timedelta
) -> Statement[dict[uuid.UUID, bool]]:
    """The same, and their leases begin anew."""
    return Statement(
        "SELECT coalesce(jsonb_agg(jsonb_build_array(id, cancel)), '[]')"
        " FROM jobs_renew(%(jobs)s::uuid[], %(tokens)s::uuid[], %(lease)s)",
        {"jobs": list(held), "tokens": list(held.values()), "lease": lease},
        _mine,
    )


@verb
def start_item(*, job: uuid.UUID, token: uuid.UUID, place: int) -> Statement[Started | None]:
    """Begin an item; ``None`` when this worker is not to do it now."""
    return Statement(
        "SELECT call, input, output_tokens, held, lost, absorbed, price"
        " FROM jobs_start_item(%(job)s, %(token)s, %(place)s)",
        {"job": job, "token": token, "place": place},
        lambda row: None if row[0] is None else Started(*row),
    )


@verb
def stop_item(*, job: uuid.UUID, token: uuid.UUID, place: int, absorbed: int) -> Statement[bool]:
    """The item came to nothing for now, which is known to have cost the operator ``absorbed``."""
    return Statement(
        "SELECT jobs_stop_item(%(job)s, %(token)s, %(place)s, %(absorbed)s)",
        {"job": job, "token": token, "place": place, "absorbed": absorbed},
        lambda row: bool(row[0]),
    )


@dataclass(frozen=True)
class Outcome:
    """What an item comes to: its ``state``, and its ``result`` as JSON, or the ``file`` that has
    it, of so many ``bytes``; or the ``problem``, ``{"code", "message"}``."""

    state: str
    result: str | None = None
    file: str = ""
    bytes: int = 0
    problem: Mapping[str, str] | None = None


@verb
def finish_item(
    *,
    job: uuid.UUID,
    token: uuid.UUID,
    place: int,
    outcome: Outcome,
    call: uuid.UUID,
    status: str,
    charge: int,
    cost: int,
    usage: Usage,
    estimated: bool,
    error: str = "",
    first_event_ms: int | None = None,
    provider: str | None = None,
) -> Statement[ItemFinished]:
    """End an item and its call, and with the last item the job. Of ``charge`` at most what is held
    is taken. Raises ``AlreadyEnded`` when the job is another worker's by now."""

    def read(row: Sequence[Any]) -> ItemFinished:
        spent, returned, written_off, repeated, owner, crossed, *of_job = row
        return ItemFinished(spent, returned, written_off, repeated, owner, bool(crossed), *of_job)

    return Statement(
        "SELECT * FROM jobs_finish_item(%(job)s, %(token)s, %(place)s, %(state)s, %(result)s,"
        " %(file)s, %(bytes)s, %(problem)s::jsonb, %(status)s, %(charge)s, %(cost)s,"
        " %(usage)s::jsonb, %(estimated)s, %(error)s, %(first_event_ms)s, %(provider)s)",
        {
            "job": job,
            "token": token,
            "place": place,
            **asdict(outcome),
            "problem": _problem(outcome.problem),
            "status": status,
            "charge": charge,
            "cost": cost,
            "usage": orjson.dumps(usage.as_dict()).decode(),
            "estimated": estimated,
            "error": error,
            "first_event_ms": first_event_ms,
            "provider": provider,
        },
        read,
        lambda finished: finished.user,
    )


@verb
def give_back(
    *,
    job: uuid.UUID,
    token: uuid.UUID,
    pause: timedelta = timedelta(0),
    counted: bool = True,
    state: str | None = None,
    problem: Mapping[str, str] | None = None,
) -> Statement[str | None]:
    """Hand a job back, to be tried again after ``pause``, or to end in ``state``; ``counted`` as
    one of the attempts there may be. Answers the state that it has then; ``None`` when it is
    gone."""
    return Statement(
        "SELECT jobs_give_back(%(job)s, %(token)s, %(pause)s, %(counted)s, %(state)s,"
        " %(problem)s::jsonb)",
        {
            "job": job,
            "token": token,
            "pause": pause,
            "counted": counted,
            "state": state,
            "problem": _problem(problem),
        },
        lambda row: row[0],
    )


@verb
def cancel(*, job: uuid.UUID) -> Statement[str | None]:
    """A queued job ends at once, one that runs within seconds; answers its state."""
    return Statement("SELECT jobs_cancel(%(job)s)", {"job": job}, lambda row: row[0])


@verb
def hurry(*, job: uuid.UUID) -> Statement[bool]:
    """A queued job is due now; answers whether it was queued."""
    return Statement("SELECT jobs_hurry(%(job)s)", {"job": job}, lambda row: bool(row[0]))


@verb
def link_retry(*, job: uuid.UUID, retried: uuid.UUID) -> Statement[bool]:
    """A job that is being made asks again what ``retried`` has asked."""
    return Statement(
        "SELECT jobs_link_retry(%(job)s, %(retried)s)",
        {"job": job, "retried": retried},
        lambda row: bool(row[0]),
    )


@verb
def end(*, job: uuid.UUID) -> Statement[str | None]:
    """End a job now, whoever is at it; answers its state."""
    return Statement("SELECT jobs_end(%(job)s)", {"job": job}, lambda row: row[0])


@verb
def sweep_one(*, job: uuid.UUID, attempts: int) -> Statement[str | None]:
    """Queue or end a job that no worker holds any more; ``None`` when there was nothing to do."""
    return Statement(
        "SELECT jobs_sweep_one(%(job)s, %(attempts)s)",
        {"job": job, "attempts": attempts},
        lambda row: row[0],
    )


@dataclass(frozen=True)
class Due:
    """A webhook that is to be sent: its job, as it has ended, and the owner's sealed secret."""

    id: uuid.UUID
    attempts: int
    url: str
    sealed: str
    job: dict[str, Any]


@verb
def claim_deliveries(*, limit: int, taken: timedelta) -> Statement[list[Due]]:
    """Webhooks that are due; for the time ``taken`` they are nobody else's."""
    return Statement(
        "SELECT coalesce(jsonb_agg(to_jsonb(d)), '[]')"
        " FROM jobs_claim_deliveries(%(limit)s, %(taken)s) d",
        {"limit": limit, "taken": taken},
        lambda row: [Due(**one | {"id": uuid.UUID(one["id"])}) for one in _value(row)],
    )


@verb
def end_delivery(
    *, delivery: uuid.UUID, state: str, problem: str, pause: timedelta | None
) -> Statement[bool]:
    """What came of sending a webhook, which is tried again after ``pause`` if it is pending."""
    return Statement(
        "SELECT jobs_end_delivery(%(delivery)s, %(state)s, %(problem)s, %(pause)s)",
        {"delivery": delivery, "state": state, "problem": problem, "pause": pause},
        lambda row: bool(row[0]),
    )


def _problem(problem: Mapping[str, str] | None) -> str | None:
    """Without what jsonb can't hold."""
    if problem is None:
        return None
    return json.dumps({name: text.replace("\0", "") for name, text in problem.items()})
