"""Somebody's server that is told of jobs' ends, on loopback."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.proxy.server import wait_for

Heard = tuple[dict[str, str], bytes]


class Receiver:
    """``answer(number)`` says what the request with this number, from 0, gets: a status, and a
    redirect's target."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.answer: Callable[[int], tuple[int, str]] = lambda _number: (204, "")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, location = receiver.answer(len(receiver.heard))
                receiver.heard.append(
                    ({name.lower(): value for name, value in self.headers.items()}, body)
                )
                self.send_response(status)
                if location:
                    self.send_header("location", location)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks?of=jobs"

    def wait(self, count: int, seconds: float = 20) -> list[Heard]:
        wait_for(lambda: len(self.heard) >= count, seconds, f"{count} webhooks have come")
        return self.heard

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
