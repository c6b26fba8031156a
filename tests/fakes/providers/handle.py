"""The fake providers as a test sees them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from .behaviour import Behaviour
from .kitchen import Kitchen, Menu
from .register import Bill, Register, Served
from .server import Server, new_loop

OPENAI_KEY = "sk-canary-openai-7Qm2Vx9LpTz4Rw8Kd3Hs6Yb1"
ANTHROPIC_KEY = "sk-canary-anthropic-5Gn8Jc2XfWv7Et4Ua9Mr3Zk6"
MODELS = ("gpt-4o", "gpt-4o-mini", "o3-mini", "claude-sonnet-4-5", "claude-haiku-4-5")


def make_kitchen(
    *,
    openai_key: str = OPENAI_KEY,
    anthropic_key: str = ANTHROPIC_KEY,
    models: tuple[str, ...] = MODELS,
    default: Behaviour | None = None,
    for_benchmarks: bool = False,
) -> Kitchen:
    """What a server serves from. For benchmarks it keeps plans, and sums instead of records."""
    return Kitchen(
        menu=Menu(default or Behaviour()),
        register=Register(keep=not for_benchmarks),
        openai_key=openai_key,
        anthropic_key=anthropic_key,
        models=models,
        keep_plans=for_benchmarks,
    )


class FakeProviders:
    """Both providers on one loopback port, served by a thread with its own event loop.

    A context manager. Every method may be called from any thread. The server works on its own
    time: after an answer, ask for what it noted with `wait_until`.
    """

    def __init__(
        self,
        *,
        openai_key: str = OPENAI_KEY,
        anthropic_key: str = ANTHROPIC_KEY,
        models: tuple[str, ...] = MODELS,
        default: Behaviour | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.openai_key = openai_key
        self.anthropic_key = anthropic_key
        self.host = host
        self.port = port
        self._kitchen = make_kitchen(
            openai_key=openai_key, anthropic_key=anthropic_key, models=models, default=default
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None

    @property
    def openai_base_url(self) -> str:
        """As the OpenAI SDK takes it, ending in /v1."""
        return f"http://{self.host}:{self.port}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """As the Anthropic SDK takes it, without /v1."""
        return f"http://{self.host}:{self.port}"

    # Life.

    def start(self) -> Self:
        """Listen; the port is known when this returns."""
        self._loop = new_loop()
        self._server = Server(self._kitchen, self._loop)
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fake-providers", daemon=True
        )
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(
            self._server.start(self.host, self.port), self._loop
        )
        try:
            self.port = listening.result(10)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Close the listener and every connection, and end the thread."""
        loop, thread, server = self._loop, self._thread, self._server
        if loop is None or thread is None or server is None:
            return
        self._loop = self._thread = self._server = None
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # To program it.

    def script(self, behaviour: Behaviour, *, model: str | None = None) -> None:
        """Answer so from now on: every model, or this one."""
        self._kitchen.menu.script(behaviour, model)

    def once(self, *behaviours: Behaviour, model: str | None = None) -> None:
        """Answer so once each, in this order, before anything scripted applies."""
        self._kitchen.menu.once(behaviours, model)

    def take_key(self, key: str, behaviour: Behaviour | None = None) -> None:
        """Take this key, too, until the next ``reset``; with a behaviour, answer it so."""
        self._kitchen.keys = {**self._kitchen.keys, key: behaviour}

    def asked_with(self, key: str) -> int:
        """How many requests came with this key."""
        headers = [served.headers for served in self.requests]
        return sum(
            key in {h.get("x-api-key"), h.get("authorization", "").partition(" ")[2]}
            for h in headers
        )

    def reset(self) -> None:
        """Break off open answers, forget records and scripts. Idle connections stay open."""
        if self._loop is None or self._server is None:
            return
        server = self._server

        async def reset() -> None:
            server.reset()

        self._kitchen.keys = {}
        asyncio.run_coroutine_threadsafe(reset(), self._loop).result(10)

    # To ask it.

    @property
    def requests(self) -> list[Served]:
        """All requests, refused ones too, oldest first. The list is a copy, its entries live."""
        return self._kitchen.register.records

    @property
    def open(self) -> int:
        """Answers being given right now, stalled ones too."""
        return self._kitchen.register.open

    @property
    def connections(self) -> int:
        """Client connections that are open, idle ones too."""
        return len(self._server.connections) if self._server else 0

    def bill(self) -> Bill:
        """What the provider charges for everything since the last reset."""
        return self._kitchen.register.bill()

    def wait_until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until the predicate is true, asking again whenever the server did something.

        Raises `TimeoutError`. It blocks its thread: a coroutine awaits `until`.
        """
        if not self._kitchen.register.wait_until(predicate, timeout):
            raise TimeoutError(f"not so within {timeout} s; {self._kitchen.register.bill()}")

    async def until(self, predicate: Callable[[], object], within: float = 5.0) -> None:
        """The same, for a coroutine. The predicate runs in a thread."""
        await asyncio.to_thread(self.wait_until, predicate, within)
