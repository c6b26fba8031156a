"""Taking the webhooks that are due, sending them, and what becomes of each.

One is taken by moving its next attempt ahead, so that nobody else takes it, and a worker that dies
with it only delays it. It may come twice; ``webhook-id`` is the same then.
"""

import asyncio
import random
import time
from datetime import timedelta
from typing import Any

import orjson
import structlog

from accounts import crypto
from common.errors import FareboxError
from common.money import format_credits
from jobs import verbs
from jobs.telling import posting, signing
from jobs.telling.addresses import Refused
from jobs.verbs import Due
from proxy.context import Context

log = structlog.get_logger(__name__)

AT_ONCE = 16
TAKEN_SECONDS = 60
# Seconds until the next attempt, more than a day in all; then it is given up.
PAUSES = (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
GONE = 410


async def send_due(context: Context) -> bool:
    """Send those that are due, at most ``AT_ONCE``; answers whether there may be more."""
    async with context.pool.lease() as conn:
        taken = timedelta(seconds=TAKEN_SECONDS)
        due = await verbs.claim_deliveries.aio(conn, limit=AT_ONCE, taken=taken)
    await asyncio.gather(*(_send(context, one) for one in due))
    return len(due) == AT_ONCE


async def _send(context: Context, due: Due) -> None:
    state, problem = await _attempt(due)
    pause = None
    if state == "pending":
        if due.attempts > len(PAUSES):
            state = "failed"
        else:
            pause = timedelta(seconds=PAUSES[due.attempts - 1] * random.uniform(1.0, 1.1))
    try:
        async with context.pool.lease() as conn:
            await verbs.end_delivery.aio(
                conn, delivery=due.id, state=state, problem=problem, pause=pause
            )
    except FareboxError as error:
        log.warning("a webhook is sent again", delivery=str(due.id), error=type(error).__name__)
    log.info("webhook", delivery=str(due.id), job=due.job["id"], state=state, error=problem)


async def _attempt(due: Due) -> tuple[str, str]:
    """The state that the delivery has after one attempt, and what was wrong."""
    body = body_of(due.job)
    try:
        secret = crypto.decrypt(due.sealed)
        signed = signing.headers(secret, f"msg_{due.id.hex}", int(time.time()), body)
        status = await posting.post(due.url, signed, body)
    except (Refused, crypto.Unreadable) as error:
        return "failed", str(error)[:200]
    except posting.NotDelivered as error:
        return "pending", str(error)
    if 200 <= status < 300:
        return "delivered", ""
    problem = f"it answered {status}"
    return ("failed" if status == GONE else "pending"), problem


def body_of(job: dict[str, Any]) -> bytes:
    """What the owner is told. The result is theirs to fetch."""
    data = job | {name: format_credits(job[name]) for name in ("held", "spent")}
    return orjson.dumps({"type": f"job.{job['state']}", "timestamp": job["finished"], "data": data})
