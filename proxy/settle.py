"""begin and finish against the database, and what happens when it is away."""

import asyncio
from collections import deque
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from django.conf import settings
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from accounts import events
from accounts.presented import Presented
from billing import nudges
from common.errors import FareboxError, Unavailable
from common.ids import uuid7
from proxy.call import Call
from proxy.ratios import Ratios
from usage import calls
from usage.idempotency import Key
from usage.models import Call as CallRecord
from usage.prices import Usage

log = structlog.get_logger(__name__)

# Seconds between attempts to finish; then the call is the sweeper's.
_PATIENCE = (0.1, 0.3, 1, 2, 4, 8, 8, 8, 8, 8, 8)
_AWAY = (psycopg.OperationalError, PoolTimeout, OSError)


class _Stack(deque[Any]):
    """Gives back last what came in last."""

    def popleft(self) -> Any:
        return self.pop()


class Pool(AsyncConnectionPool[psycopg.AsyncConnection[Any]]):
    """A pool that hands out the connection used last, whose server process is still warm.

    psycopg's own takes the one that waited longest, and so goes round all of them: with 16 idle
    ones a lone caller's first byte was measured to come a millisecond later.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pool = _Stack()


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
            async with pool.connection() as conn:
                return await calls.begin.aio(
                    conn,
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
        except _AWAY as error:
            if attempt == 2 or isinstance(error, PoolTimeout):
                log.warning("database away", call=str(call.id), error=type(error).__name__)
                raise unavailable() from None
            await pool.check()
            if key is None:
                call.id = uuid7()
    raise AssertionError("unreachable")


async def finish(
    pool: Pool, ratios: Ratios, call: Call, status: str, error: str = ""
) -> calls.Finished | None:
    """End a call by its meter. ``None`` when the database stayed away: the sweeper's then.

    Meant to run in a task of its own, that no disconnect can cancel.
    """
    usage, estimated = call.usage(ratios)
    if status == CallRecord.Status.FAILED:
        usage, estimated = Usage(), False
    model = call.request.model
    for pause in (*_PATIENCE, None):
        try:
            async with pool.connection() as conn:
                done = await calls.finish.aio(
                    conn,
                    call=call.id,
                    status=status,
                    charge=model.rates.amount(usage),
                    cost=model.cost_rates.amount(usage),
                    usage=usage,
                    estimated=estimated,
                    error=error,
                    first_event_ms=call.first_event_ms,
                    provider=call.provider,
                )
        except (*_AWAY, Unavailable) as problem:
            if pause is None:
                log.error("finish given up", call=str(call.id), error=type(problem).__name__)
                return None
            await asyncio.sleep(pause)
        except FareboxError as problem:
            log.error("finish refused", call=str(call.id), error=problem.message)
            return None
        else:
            events.hint(done.user)
            if done.crossed:
                nudges.top_up(done.user)
            _learn(ratios, call, usage, status, estimated)
            log.info("call", **_facts(call, status, error, usage, estimated, done))
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
        )


def _facts(
    call: Call, status: str, error: str, usage: Usage, estimated: bool, done: calls.Finished
) -> dict[str, Any]:
    """What the log says of a call: numbers and names, nothing of what was said."""
    return {
        "call": str(call.id),
        "model": call.request.model.name,
        "provider": call.provider or call.request.model.provider,
        "status": status,
        "error": error,
        "estimated": estimated,
        **{f"{name}_tokens": value for name, value in usage.as_dict().items()},
        "spent": done.spent,
        "written_off": done.written_off,
        "first_event_ms": call.first_event_ms,
    }
