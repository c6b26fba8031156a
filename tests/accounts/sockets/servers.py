"""Servers that are started another way than a deployment's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.proxy.server import free_port, wait_for
from tests.zygote import launch


class OtherServer:
    """``python -m`` something, which takes ``-p``/``--port`` last; as much as a client asks for."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._process = launch(*argv, str(self.port), env=environment, log=log)

    def __enter__(self) -> "OtherServer":
        wait_for(self._answers, 60, "the server answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)
        log = self._log.read_text()
        assert "Traceback" not in log, log[-4000:]

    @property
    def pid(self) -> int:
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False
