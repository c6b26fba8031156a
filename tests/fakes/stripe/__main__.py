"""Run the fake Stripe as a process: `python -m tests.fakes.stripe --port 9200`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from .app import make_app
from .options import KEY, SECRET, Options


def main() -> None:
    """Serve until SIGINT or SIGTERM, or with ``--leash`` until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.stripe")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--state", type=Path, help="keep everything in this file")
    parser.add_argument("--webhook", default="", help="send every event to this address, too")
    parser.add_argument("--secret", default=SECRET, help="what signs those events")
    parser.add_argument("--key", default=KEY, help="the secret key that people are told")
    parser.add_argument(
        "--real-signatures", action="store_true", help="sign events at this machine's time"
    )
    parser.add_argument("--leash", action="store_true", help="end with standard input")
    told = parser.parse_args()
    with listen(told.host, told.port) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        options = Options(
            url=url,
            state=told.state,
            webhook=told.webhook,
            secret=told.secret,
            key=told.key,
            real_signatures=told.real_signatures,
        )
        asyncio.run(serve(options, listener, leash=told.leash))


def listen(host: str, port: int) -> socket.socket:
    """Bound before the application is made, for the application says its own address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        sys.exit(f"fake Stripe: {host}:{port}: {reason}")


async def serve(options: Options, listener: socket.socket, *, leash: bool) -> None:
    """Print the address once it listens, and stop in order at a signal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if leash:
        loop.add_reader(sys.stdin.fileno(), stop.set)  # nobody writes: readable means ended
    runner = web.AppRunner(make_app(options), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        print(f"fake Stripe ready on {options.url}", flush=True)
        await stop.wait()
    finally:
        if leash:
            loop.remove_reader(sys.stdin.fileno())
        await runner.cleanup()


if __name__ == "__main__":
    main()
