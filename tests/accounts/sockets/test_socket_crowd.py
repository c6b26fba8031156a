"""Many sockets on one process: how soon all hear of a commit, and what one costs in memory.

Both are printed (``bin/test ... -s``) and held below bounds that leave room for a busy machine.
"""

import asyncio
import json
import resource
import time
from contextlib import AsyncExitStack
from statistics import median

import psutil
import pytest
from django.db import connection, transaction
from websockets.asyncio.client import connect

from accounts import tickets
from accounts import verbs as accounts
from accounts.access import Credential
from ledger import verbs

SOCKETS = 500
SECONDS = 1.0
BYTES_A_SOCKET = 64 * 1024
FIRST = 20  # sockets that bring in what a process keeps once


@pytest.fixture
def files():
    """Room for as many open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * SOCKETS if hard == resource.RLIM_INFINITY else min(4 * SOCKETS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def crowd(clean_books):
    """As many users: what opens a socket for each, and their wallets."""
    people = []
    with transaction.atomic():
        for n in range(SOCKETS):
            user = accounts.create_user(email=f"rider{n}@example.com")
            digest = bytes(accounts.issue_key(user=user, name="test").key.digest).hex()
            wallet = verbs.wallet_of(user=user.pk)
            people.append((Credential("key", digest, user.pk), wallet))
    return people


def grant_all(wallets, key):
    """One commit that changes every wallet; answers when it was done."""
    committed = []
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.perf_counter()))
            for wallet in wallets:
                verbs.grant(
                    account=wallet, amount=1_000_000, kind="promotion", key=f"{key}{wallet}"
                )
    finally:
        connection.close()  # this thread's
    return committed[0]


async def open_one(port, credential, room, opened):
    """Open a socket that ``opened``, a stack, closes."""
    async with room:
        ticket = await asyncio.to_thread(tickets.make, credential)
        socket = await opened.enter_async_context(
            connect(f"ws://127.0.0.1:{port}/ws/account?ticket={ticket}", compression=None)
        )
        first = json.loads(await socket.recv())
        assert first["type"] == "state"
        return socket


async def hear(socket):
    """When the next message came."""
    message = json.loads(await socket.recv())
    return time.perf_counter(), message


async def measure(port, pid, crowd):
    """Seconds to open them, bytes each, seconds to hear; whatever fails, none is left open."""
    async with AsyncExitStack() as opened:
        return await measure_open(port, pid, crowd, opened)


async def measure_open(port, pid, crowd, opened):
    process = psutil.Process(pid)
    room = asyncio.Semaphore(50)
    sockets = [await open_one(port, credential, room, opened) for credential, _ in crowd[:FIRST]]
    before = process.memory_info().rss
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:  # of which none opens another once one has failed
        more = [
            group.create_task(open_one(port, credential, room, opened))
            for credential, _ in crowd[FIRST:]
        ]
    sockets += [task.result() for task in more]
    seconds = time.perf_counter() - began
    each = (process.memory_info().rss - before) / (SOCKETS - FIRST)
    delays = []
    for n in range(1, 4):
        ears = [asyncio.create_task(hear(socket)) for socket in sockets]
        await asyncio.sleep(0)
        committed = await asyncio.to_thread(grant_all, [wallet for _, wallet in crowd], f"g{n}")
        heard = await asyncio.gather(*ears)
        for _, message in heard:
            assert message["type"] == "balance"
            assert message["balance"]["available"] == f"{n}.000000"
        delays += [at - committed for at, _ in heard]
    return seconds, each, delays


def test_five_hundred_sockets_hear_within_a_second(farebox, crowd, files):
    opened, each, delays = asyncio.run(measure(farebox.port, farebox.pid, crowd))
    print(
        f"\n{SOCKETS} sockets opened in {opened:.2f} s, {each / 1024:.1f} KiB each; heard after "
        f"{min(delays) * 1000:.0f} ms at least, {median(delays) * 1000:.0f} ms at the median, "
        f"{max(delays) * 1000:.0f} ms at most"
    )
    assert min(delays) > 0, "nothing is heard before its commit"
    assert max(delays) < SECONDS
    assert each < BYTES_A_SOCKET
