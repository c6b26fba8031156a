"""The load generator: reads a plan as JSON on standard input, writes what it saw on output.

A process of its own, so that its work is nobody else's CPU. Nothing is reported but calls that
were whole: the first broken one ends the run with its reason and exit code 1.
"""

import asyncio
import json
import resource
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import uvloop

from bench.client import Answer, Broken, Connection, Gauge

PATH = "/v1/chat/completions"
CONNECTING = 200  # connections that are being made at once


@dataclass(frozen=True)
class Target:
    """Where to ask, and with which keys; callers take them in turn."""

    name: str
    port: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What to do. With ``interleave`` one caller asks each target once in every round; otherwise
    ``callers`` callers ask the one target, each ``rounds`` times; if ``tolerant``, a broken stream
    is counted, and its caller goes on with a new connection."""

    targets: tuple[Target, ...]
    body: str
    events: int
    callers: int = 1
    rounds: int = 1
    interleave: bool = False
    tolerant: bool = False

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        value = json.loads(text)
        targets = tuple(
            Target(t["name"], t["port"], tuple(t["keys"])) for t in value.pop("targets")
        )
        return cls(targets=targets, **value)


def request(target: Target, caller: int, body: str) -> bytes:
    """The bytes of a caller's request."""
    key = target.keys[caller % len(target.keys)]
    content = body.encode()
    return (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{target.port}\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    ).encode() + content


async def connect(target: Target, gauge: Gauge, slots: asyncio.Semaphore) -> Connection:
    async with slots:
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(gauge), "127.0.0.1", target.port
        )
    return connection


async def alone(plan: Plan) -> dict[str, list[Answer]]:
    """One caller that asks the targets in turn, beginning each round with another one."""
    slots, gauge = asyncio.Semaphore(1), Gauge()
    connections = [await connect(target, gauge, slots) for target in plan.targets]
    requests = [request(target, 0, plan.body) for target in plan.targets]
    seen: dict[str, list[Answer]] = {target.name: [] for target in plan.targets}
    for round_ in range(plan.rounds):
        for step in range(len(plan.targets)):
            place = (round_ + step) % len(plan.targets)
            answer = await connections[place].ask(requests[place], plan.events)
            seen[plan.targets[place].name].append(answer)
    for connection in connections:
        connection.close()
    return seen


async def together(plan: Plan, gauge: Gauge) -> list[Answer]:
    """All callers at once, each with its own connection, made before the first request."""
    (target,) = plan.targets
    slots = asyncio.Semaphore(CONNECTING)
    connections = list(
        await asyncio.gather(*(connect(target, gauge, slots) for _ in range(plan.callers)))
    )

    async def caller(number: int) -> list[Answer]:
        asked = request(target, number, plan.body)
        answers = []
        for _ in range(plan.rounds):
            try:
                answers.append(await connections[number].ask(asked, plan.events))
            except Broken:
                if not plan.tolerant:
                    raise
                connections[number].close()
                connections[number] = await connect(target, gauge, slots)
        return answers

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller(number)) for number in range(plan.callers)]
    for connection in connections:
        connection.close()
    return [answer for task in tasks for answer in task.result()]


def summary(answers: list[Answer]) -> dict[str, Any]:
    """What the figures are made of; milliseconds. Raises ``Broken`` when there are none."""
    if not answers:
        raise Broken("not one stream was whole")
    first = sorted(answer.first * 1000 for answer in answers)
    total = sorted(answer.total * 1000 for answer in answers)
    return {
        "calls": len(answers),
        "bytes": sum(answer.size for answer in answers),
        "first_ms": statistics.median(first),
        "first_p95_ms": first[len(first) * 95 // 100],
        "total_ms": statistics.median(total),
        "total_p95_ms": total[len(total) * 95 // 100],
        "total_max_ms": total[-1],
    }


async def run(plan: Plan) -> dict[str, Any]:
    if plan.interleave:
        seen = await alone(plan)
        return {name: summary(answers) for name, answers in seen.items()}
    gauge = Gauge()
    started = time.perf_counter()
    answers = await together(plan, gauge)
    seconds = time.perf_counter() - started
    found = summary(answers) | {"seconds": seconds, "most_open": gauge.most}
    return {plan.targets[0].name: found}


def main() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    plan = Plan.from_json(sys.stdin.read())
    before = time.process_time()
    try:
        result = uvloop.run(run(plan))
    except* (Broken, OSError) as group:
        first = group.exceptions[0]
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        print(f"{len(group.exceptions)} calls failed; the first: {first}", file=sys.stderr)
        result = None
    if result is None:
        return 1
    result["load_cpu_seconds"] = time.process_time() - before
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
