"""Posts jobs over keep-alive connections, each answered before the next is asked.

``python -m bench.posts`` reads a ``Plan`` as JSON and prints one JSON line: when the first was
posted, and for each job its id, when it was answered, and the seconds that took.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

from bench.client import Broken

BODY = b'{"kind":"noop"}'


@dataclass(frozen=True)
class Plan:
    """``count`` jobs over so many connections, by each of the keys in turn, with so many seconds
    between an answer and the next request."""

    port: int
    keys: tuple[str, ...]
    count: int
    connections: int
    pause: float = 0.0

    def as_json(self) -> str:
        return json.dumps(asdict(self))


async def post(plan: Plan) -> dict[str, Any]:
    requests = iter(range(plan.count))
    keys = cycle(plan.keys)
    jobs: list[tuple[str, float, float]] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
        for _ in requests:
            if plan.pause:
                await asyncio.sleep(plan.pause)
            began = time.perf_counter()
            writer.write(request(plan.port, next(keys)))
            job = await answer(reader)
            jobs.append((job, time.time(), time.perf_counter() - began))
        writer.close()

    started = time.time()
    await asyncio.gather(*(one() for _ in range(plan.connections)))
    return {"started": started, "jobs": jobs}


def request(port: int, key: str) -> bytes:
    return (
        b"POST /api/jobs HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
    ) % (port, key.encode(), len(BODY), BODY)


async def answer(reader: asyncio.StreamReader) -> str:
    """The new job's id. Raises ``Broken``."""
    head = await reader.readuntil(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    body = await reader.readexactly(int(length.split()[0]))
    if not head.startswith(b"HTTP/1.1 202"):
        raise Broken((head + body)[:500].decode(errors="replace"))
    return str(json.loads(body)["id"])


if __name__ == "__main__":
    told = json.load(sys.stdin)
    print(json.dumps(asyncio.run(post(Plan(**told)))))
