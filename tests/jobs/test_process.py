"""The worker of a process: begun by a hint, ended when there is nothing to do, begun again."""

from typing import Any

from jobs.process import Process
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for


def test_it_comes_and_goes_with_its_work(configured: Any, rider: Rider) -> None:
    asker = Asker(rider)
    process = Process(idle_seconds=0.2)
    try:
        assert not process.is_at_work
        for kind, given in (("noop", None), ("completion", chat())):
            job = asker.make(kind, given)["id"]
            process.wake()
            assert asker.ended(job)["state"] == "done"
            wait_for(lambda: not process.is_at_work, 10, "it ends, with nothing to do")
    finally:
        process.stop(5)
    job = asker.make("noop")["id"]
    process.wake()
    assert not process.is_at_work, "a process that ends takes no more"
    asker.cancel(job)


def test_hints_that_come_while_it_ends_are_not_lost(configured: Any, rider: Rider) -> None:
    asker = Asker(rider)
    process = Process(idle_seconds=0.01)
    try:
        for _ in range(30):
            job = asker.make("noop")["id"]
            process.wake()
            assert asker.ended(job, 10)["state"] == "done"
    finally:
        process.stop(5)
