"""How many bytes of files a worker has in memory at once."""

import asyncio
from contextlib import AsyncExitStack

from jobs.uploads import Room


class Guest:
    """Somebody who wants room, has it, or has gone."""

    def __init__(self, room: Room, size: int) -> None:
        self.has_room = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._stay(room, size))

    async def _stay(self, room: Room, size: int) -> None:
        async with room.take(size):
            self.has_room = True
            await self._leave.wait()
        self.has_room = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task


async def settle() -> None:
    """Everybody has gone as far as they can: no step of theirs waits for anything but room."""
    for _ in range(20):
        await asyncio.sleep(0)


async def guests(room: Room, *sizes: int) -> list[Guest]:
    found = [Guest(room, size) for size in sizes]
    await settle()
    return found


async def test_no_more_than_there_is_room_for_and_in_turn() -> None:
    room = Room(100)
    first, second, large, small = all_ = await guests(room, 40, 50, 60, 5)
    assert [guest.has_room for guest in all_] == [True, True, False, False]
    await first.leave()
    await settle()
    assert [guest.has_room for guest in all_] == [False, True, False, False], (
        "it is the large one's"
    )
    await second.leave()
    await settle()
    assert (large.has_room, small.has_room) == (True, True)
    await large.leave()
    await small.leave()


async def test_who_gives_up_holds_nobody_up() -> None:
    room = Room(100)
    first, waiting, next_ = await guests(room, 80, 90, 20)
    waiting.task.cancel()
    await asyncio.gather(waiting.task, return_exceptions=True)
    await settle()
    assert (first.has_room, next_.has_room) == (True, True)
    first.task.cancel()
    await asyncio.gather(first.task, return_exceptions=True)
    (whole,) = await guests(room, 80)
    assert whole.has_room, "what was cancelled has given its room back"
    await next_.leave()
    await whole.leave()


async def test_a_file_larger_than_all_room_goes_alone() -> None:
    room = Room(100)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(room.take(1_000))
        (small,) = await guests(room, 1)
        assert not small.has_room
    await settle()
    assert small.has_room
    await small.leave()
