"""begin's and finish's own way over libpq, and the pool's queue, on a real PostgreSQL."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from common.errors import BadInput
from common.ids import uuid7
from ledger.database import Statement
from proxy.pool import Pool
from proxy.statements import Connection
from usage.models import Call

Status = Call.Status


def asked(sql: str, **params: Any) -> Statement[tuple[Any, ...]]:
    return Statement(sql, params, tuple)


def on_connection(url: str, test: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
    async def work() -> None:
        async with await Connection.connect(url, autocommit=True) as conn:
            await test(conn)

    asyncio.run(work())


def test_values_arrive_as_they_were(database_url: str) -> None:
    call = uuid7()
    values = {
        "nothing": None, "yes": True, "no": False, "small": 7, "large": -(2**62), "text": "sí'\\",
        "bytes": b"\0\xff'", "time": timedelta(days=2, microseconds=3), "id": call,
        "kind": Status.COMPLETED,
    }  # fmt: skip
    sql = (
        "SELECT %(nothing)s::text, %(yes)s::boolean, %(no)s::boolean, %(small)s::int,"
        " %(large)s::bigint, %(text)s::text, %(bytes)s::bytea, %(time)s::interval, %(id)s::uuid,"
        " %(kind)s::text, %(small)s::bigint, ARRAY[%(large)s::bigint, NULL]"
    )

    async def test(conn: Connection) -> None:
        for _ in range(2):  # once to prepare it, once prepared
            row = await conn.run(asked(sql, **values))
            assert row == (*values.values(), 7, [-(2**62), None])
            assert isinstance(row[8], UUID)

    on_connection(database_url, test)


def test_a_refusal_is_the_ledgers_error_and_the_connection_serves_on(database_url: str) -> None:
    refused = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'FB400'; END $$"
    make = f"CREATE FUNCTION pg_temp.refuse() RETURNS int LANGUAGE plpgsql AS {refused[3:]!s}"

    async def test(conn: Connection) -> None:
        await conn.execute(make)
        with pytest.raises(BadInput, match="no"):
            await conn.run(asked("SELECT pg_temp.refuse()"))
        for _ in range(2):
            with pytest.raises(psycopg.errors.DivisionByZero):
                await conn.run(asked("SELECT 1 / %(by)s::int", by=0))
        assert await conn.run(asked("SELECT 1 / %(by)s::int", by=1)) == (1,)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await conn.run(asked("SELECT * FROM nowhere_to_be_found"))
        assert await conn.run(asked("SELECT %(n)s::int", n=3)) == (3,)

    on_connection(database_url, test)


def test_it_and_psycopg_take_turns_on_one_connection(database_url: str) -> None:
    async def test(conn: Connection) -> None:
        for number in range(6):
            assert await conn.run(asked("SELECT %(n)s::int", n=number)) == (number,)
            cursor = await conn.execute("SELECT %s::int", [number])
            assert await cursor.fetchone() == (number,)

    on_connection(database_url, test)


def test_a_plan_that_is_no_more_is_made_again(database_url: str) -> None:
    async def test(conn: Connection) -> None:
        one = asked("SELECT %(n)s::int", n=1)
        assert await conn.run(one) == (1,)
        await conn.execute("DEALLOCATE ALL")
        assert await conn.run(one) == (1,)
        await conn.execute("CREATE TEMPORARY TABLE changing AS SELECT 1::int AS a")
        every = asked("SELECT * FROM changing")
        assert await conn.run(every) == (1,)
        await conn.execute("ALTER TABLE changing ALTER a TYPE text")
        assert await conn.run(every) == ("1",)

    on_connection(database_url, test)


def test_what_is_larger_than_the_kernel_takes_at_once_is_sent_whole(database_url: str) -> None:
    large = "x" * 30_000_000

    async def test(conn: Connection) -> None:
        row = await conn.run(asked("SELECT length(%(text)s::text)", text=large))
        assert row == (len(large),)

    on_connection(database_url, test)


def test_a_connection_that_is_cut_says_so_and_leaves_its_socket(database_url: str) -> None:
    async def test(conn: Connection) -> None:
        loop = asyncio.get_running_loop()
        assert await conn.run(asked("SELECT %(n)s::int", n=1)) == (1,)
        socket = conn.pgconn.socket
        waiting = asyncio.ensure_future(conn.run(asked("SELECT 1, pg_sleep(60)")))
        async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
            await other.execute("SELECT pg_terminate_backend(%s)", [conn.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            await waiting
        assert conn.pgconn.transaction_status == TransactionStatus.UNKNOWN
        assert not loop.remove_reader(socket)  # nobody watches a number that another may have now

    on_connection(database_url, test)


def pooled(url: str, test: Callable[[Pool], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def work() -> None:
        kwargs = {"autocommit": True}
        options = {"min_size": 1, "max_size": 2, "timeout": 30.0} | more
        async with Pool(url, open=False, kwargs=kwargs, **options) as pool:
            await test(pool)

    asyncio.run(work())


def test_more_callers_than_connections_are_all_served_in_turn(database_url: str) -> None:
    busy, most, order = 0, 0, []

    async def test(pool: Pool) -> None:
        await pool.wait(30)  # both are there: one alone may serve all while another is made

        async def caller(number: int) -> None:
            nonlocal busy, most
            async with pool.lease() as conn:
                busy += 1
                most = max(most, busy)
                assert await conn.run(asked("SELECT %(n)s::int", n=number)) == (number,)
                order.append(number)
                busy -= 1

        async def plain() -> None:
            async with pool.connection() as conn:
                await conn.execute("SELECT 1")

        await asyncio.gather(*map(caller, range(20)), plain(), *map(caller, range(20, 40)))

    pooled(database_url, test, min_size=2)
    assert sorted(order) == list(range(40))
    assert most == 2


def test_a_connection_lost_in_use_is_replaced_for_who_waits(database_url: str) -> None:
    async def test(pool: Pool) -> None:
        async with pool.lease() as conn:
            waiting = asyncio.ensure_future(_one(pool))
            with pytest.raises(psycopg.OperationalError):
                await conn.run(asked("SELECT 1 FROM pg_terminate_backend(pg_backend_pid())"))
        assert await waiting == (1,)

    pooled(database_url, test, max_size=1)


def test_who_waits_too_long_is_told_and_loses_no_connection(database_url: str) -> None:
    async def test(pool: Pool) -> None:
        async with pool.lease():
            with pytest.raises(PoolTimeout):
                await _one(pool)
        assert await _one(pool) == (1,)

    pooled(database_url, test, max_size=1, timeout=0.2)


def test_who_is_cancelled_in_the_moment_of_its_turn_gives_it_back(database_url: str) -> None:
    async def test(pool: Pool) -> None:
        async with pool.lease():
            waiting = asyncio.ensure_future(_one(pool))
            await asyncio.sleep(0)  # it stands in the queue now
        waiting.cancel()  # given, and not yet awake
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await _one(pool) == (1,)

    pooled(database_url, test, max_size=1)


async def _one(pool: Pool) -> tuple[Any, ...]:
    async with pool.lease() as conn:
        return await conn.run(asked("SELECT %(n)s::int", n=1))
