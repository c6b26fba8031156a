"""begin and finish straight against the database: no HTTP, the verbs that the proxy calls.

A process of its own: reads a plan as JSON on standard input, writes what it saw on output. Each
pair is checked; the first that is not what it should be ends the run.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import psycopg
import uvloop

from accounts import keys
from common.ids import uuid7
from usage import calls
from usage.calls import WorstCase
from usage.prices import Usage

CHARGE = 135
WORST = WorstCase(
    input_tokens=1_000,
    input_units=1_500_000_000,
    output_rate=6_000_000,
    output_tokens=1_000,
    choices=1,
    exact=True,
    floor=16,
)
USAGE = Usage(input=10, output=20)
OPTIONS = "-c lock_timeout=2000 -c timezone=UTC"


@dataclass(frozen=True)
class Plan:
    """For so many seconds, ``connections`` workers make pairs, each on wallets of its own; with
    one key in ``keys`` all of them on that wallet."""

    database: str
    keys: tuple[str, ...]
    connections: int
    seconds: float
    price: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))


async def worker(plan: Plan, digests: list[bytes], until: float) -> list[float]:
    """Make pairs until the time is over; answers how long each took, seconds."""
    metadata = {
        "model": "gpt-4o-mini",
        "provider": "openai",
        "protocol": "openai",
        "price": plan.price,
        "stream": True,
    }
    seen = []
    conn = await psycopg.AsyncConnection.connect(plan.database, autocommit=True, options=OPTIONS)
    async with conn:
        await _pair(conn, digests[0], metadata)  # the first one plans what later ones reuse
        turn = 0
        while (started := time.perf_counter()) < until:
            await _pair(conn, digests[turn % len(digests)], metadata)
            turn += 1
            seen.append(time.perf_counter() - started)
    return seen


async def _pair(
    conn: psycopg.AsyncConnection[Any], digest: bytes, metadata: dict[str, Any]
) -> None:
    call = uuid7()
    begun = await calls.begin.aio(
        conn,
        call=call,
        digest=digest,
        user=None,
        model="gpt-4o-mini",
        metadata=metadata,
        worst=WORST,
        lease=timedelta(seconds=30),
        top_up_url="",
    )
    done = await calls.finish.aio(
        conn,
        call=call,
        status="completed",
        charge=CHARGE,
        cost=CHARGE,
        usage=USAGE,
        estimated=False,
        first_event_ms=1,
    )
    if done.spent != CHARGE or done.returned != begun.held - CHARGE or done.repeated:
        raise AssertionError(f"call {call}: {begun}, {done}")


async def run(plan: Plan) -> dict[str, Any]:
    digests = [keys.digest(key) for key in plan.keys]
    mine = [digests[place :: plan.connections] or digests for place in range(plan.connections)]
    if len(digests) == 1:
        mine = [digests] * plan.connections
    started = time.perf_counter()
    until = started + plan.seconds
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker(plan, own, until)) for own in mine]
    elapsed = time.perf_counter() - started
    seen = sorted(second for task in tasks for second in task.result())
    return {
        "pairs": len(seen) + len(tasks),
        "a_second": (len(seen) + len(tasks)) / elapsed,
        "median_ms": seen[len(seen) // 2] * 1000,
        "p95_ms": seen[len(seen) * 95 // 100] * 1000,
        "cpu_seconds": time.process_time(),
    }


def main() -> None:
    value = json.loads(sys.stdin.read())
    plan = Plan(**{**value, "keys": tuple(value["keys"])})
    print(json.dumps(uvloop.run(run(plan))))


if __name__ == "__main__":
    main()
