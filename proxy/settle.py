"""begin and finish against the database, and what happens when it is away."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from django.conf import settings
from psycopg_pool import PoolTimeout

from accounts import events
from accounts.presented import Presented
from billing import nudges
from common.errors import FareboxError, Unavailable
from common.ids import uuid7
from common.logging import tell
from ledger.database import Statement
from proxy import metrics, tracing
from proxy.call import Call
from proxy.pool import Pool
from proxy.ratios import Ratios
from usage import calls
from usage.idempotency import Key
from usage.models import Call as CallRecord
from usage.prices import Usage

log = structlog.get_logger(__name__)

# Seconds between attempts to finish; then the call is the sweeper's.
_PATIENCE = (0.1, 0.3, 1, 2, 4, 8, 8, 8, 8, 8, 8)
_AWAY = (psycopg.OperationalError, PoolTimeout, OSError)


def unavailable() -> Unavailable:
    return Unavailable("The service can't be reached for a moment; try again.", retry_after=2)


async def begin(
    pool: Pool, call: Call, credential: Presented, key: Key | None = None
) -> calls.Begun:
    """Hold the worst case. Raises what ``usage.calls.begin`` raises, and ``Unavailable``.

    A connection that died in the pool is replaced and the attempt repeated once: with an
    Idempotency-Key as the same call, otherwise under a new id, and then, should the first have been
    committed after all, its hold ends with its lease.
    """
    request = call.request
    metadata = {
        "model": request.model.name,
        "provider": request.model.provider,
        "protocol": request.protocol.route,
        "price": request.model.price,
        "stream": request.stream,
    }
    for attempt in (1, 2):
        try:
            async with pool.lease() as conn:
                return await conn.run(
                    calls.begin.build(
                        call=call.id,
                        digest=credential.digest,
                        user=None,
                        token=credential.token,
                        session=credential.session,
                        model=request.model.name,
                        metadata=metadata,
                        worst=request.worst,
                        lease=timedelta(seconds=settings.HOLD_LEASE_SECONDS),
                        top_up_url=f"{settings.PUBLIC_URL}/dashboard/billing/",
                        key=key,
                    )
                )
        except _AWAY as error:
            if attempt == 2 or isinstance(error, PoolTimeout):
                log.warning("database away", call=call.name, error=type(error).__name__)
                raise unavailable() from None
            await pool.check()
            if key is None:
                call.identify(uuid7())
    raise AssertionError("unreachable")


Book = Callable[..., Statement[Any]]  # that reads a ``calls.Finished``, or more


async def finish(
    pool: Pool,
    ratios: Ratios,
    call: Call,
    status: str,
    error: str = "",
    book: Book = calls.finish.build,
) -> calls.Finished | None:
    """End a call by its meter. ``None`` when the database stayed away: the sweeper's then.

    Meant to run in a task of its own, that no disconnect can cancel. ``book`` is for a call that
    something else ends with, in the same commit: it takes what ``calls.finish`` does.
    """
    began = time.monotonic()
    usage, estimated = call.usage(ratios)
    if status == CallRecord.Status.FAILED:
        usage, estimated = Usage(), False
    model = call.request.model
    cost = model.cost_rates.amount(usage) + call.absorbed
    for pause in (*_PATIENCE, None):
        try:
            async with pool.lease() as conn:
                done = await conn.run(
                    book(
                        call=call.id,
                        status=status,
                        charge=model.rates.amount(usage),
                        cost=cost,
                        usage=usage,
                        estimated=estimated,
                        error=error,
                        first_event_ms=call.first_event_ms,
                        provider=call.provider,
                    )
                )
        # Of errors that are no outage too: while a deployment changes the functions, one may be
        # missing for a moment, and what was delivered is to be paid.
        except (psycopg.Error, OSError, Unavailable) as problem:
            if pause is None:
                metrics.left_to_sweeper()
                log.error("finish given up", call=call.name, error=type(problem).__name__)
                return None
            await asyncio.sleep(pause)
        except FareboxError as problem:
            metrics.left_to_sweeper()
            log.error("finish refused", call=call.name, error=problem.message)
            return None
        else:
            events.hint(done.user)
            if done.crossed:
                nudges.top_up(done.user)
            _learn(ratios, call, usage, status, estimated)
            metrics.ended(call, status, usage, cost, estimated, done, began)
            _tell(call, _facts(call, status, error, usage, estimated, done), began)
            return done
    raise AssertionError("unreachable")


def _learn(ratios: Ratios, call: Call, usage: Usage, status: str, estimated: bool) -> None:
    if estimated or status != CallRecord.Status.COMPLETED:
        return
    if call.request.has_media:  # its tokens are not those of its text
        return
    if call.meter.text_bytes and usage.output:
        ratios.learn(
            call.request.model.name,
            call.request.text_bytes,
            usage.input,
            call.meter.text_bytes,
            usage.output,
            call.meter.text_events,
        )


def _tell(call: Call, facts: dict[str, Any], began: float) -> None:
    """A call's one line in the log, and its trace."""
    tell(__name__, "call", facts)
    if tracing.tell is None:
        return
    try:
        tracing.tell(
            tracing.Ended(
                call=call.id,
                route=call.request.protocol.route,
                streamed=call.request.stream,
                facts=facts,
                started=call.started,
                begun=call.begun,
                first_event=call.first_event_at,
                finishing=began,
                finished=time.monotonic(),
                carrier=call.carrier,
            )
        )
    except Exception:
        log.exception("call not traced")  # it is booked all the same


def _facts(
    call: Call, status: str, error: str, usage: Usage, estimated: bool, done: calls.Finished
) -> dict[str, Any]:
    """What the log says of a call: numbers and names, nothing of what was said."""
    return {
        "call": call.name,
        "model": call.request.model.name,
        "provider": call.provider or call.request.model.provider,
        "route": call.request.protocol.route,
        "user": done.user,
        "status": status,
        "error": error,
        "estimated": estimated,
        **{f"{name}_tokens": value for name, value in usage.as_dict().items()},
        "held": call.held,
        "spent": done.spent,
        "written_off": done.written_off,
        "first_event_ms": call.first_event_ms,
        "ms": int((time.monotonic() - call.started) * 1000),
    }
