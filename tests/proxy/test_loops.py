"""What a process does beside its calls goes on whatever one round of it ran into."""

import asyncio

import psycopg
import pytest

from ledger.errors import translate
from proxy.context import _every


class Locked(psycopg.errors.LockNotAvailable):
    sqlstate = "55P03"


@pytest.mark.parametrize(
    "problem",
    # A lock that is waited for too long comes as an error of the contract's.
    [Locked(), translate(Locked()), OSError(), ValueError()],
    ids=lambda problem: type(problem).__name__,
)
async def test_a_round_that_fails_is_not_the_last(problem: Exception) -> None:
    rounds, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise problem
        enough.set()

    loop = asyncio.create_task(_every(0.001, work))
    try:
        async with asyncio.timeout(2):
            await enough.wait()
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
