"""Run the fake providers as a process: `python -m tests.fakes.providers --port 9100`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import resource
import signal

from .handle import ANTHROPIC_KEY, OPENAI_KEY, make_kitchen
from .server import Server, new_loop


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.providers")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--openai-key", default=OPENAI_KEY)
    parser.add_argument("--anthropic-key", default=ANTHROPIC_KEY)
    told = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kitchen = make_kitchen(
        openai_key=told.openai_key, anthropic_key=told.anthropic_key, for_benchmarks=True
    )
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve(Server(kitchen, runner.get_loop()), told.host, told.port))


async def serve(server: Server, host: str, port: int) -> None:
    """Print the address once it listens, and stop at a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        server.loop.add_signal_handler(number, stop.set)
    port = await server.start(host, port)
    gc.freeze()
    print(f"Fake providers are ready: http://{host}:{port}", flush=True)
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    main()
