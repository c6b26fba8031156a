"""``python -m tests.proxy.handed <address> ...`` is ``python -m uvicorn --fd N ...``, N being a
listening socket that whoever waits at the address (of Linux's abstract kind) hands over."""

import runpy
import socket
import sys
from contextlib import closing


def listening(address: str) -> int:
    """What is handed over there; 0 to 2 are taken."""
    with closing(socket.socket(socket.AF_UNIX)) as asking:
        asking.connect(address.replace("@", "\0", 1))
        _, (number,), _, _ = socket.recv_fds(asking, 1, 1)
    return number


def hand_over(number: int, door: socket.socket) -> None:
    """Give an open file to the next who comes to the door."""
    taking, _ = door.accept()
    with closing(taking):
        socket.send_fds(taking, [b"."], [number])


if __name__ == "__main__":
    address, *options = sys.argv[1:]
    sys.argv = ["uvicorn", "--fd", str(listening(address)), *options]
    runpy.run_module("uvicorn", run_name="__main__", alter_sys=True)
