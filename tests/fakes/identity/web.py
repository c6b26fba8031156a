"""A small HTTP server in a thread: routes to functions of a request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Answer:
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json"})

    @classmethod
    def page(cls, html: str, status: int = 200) -> Answer:
        return cls(status, html.encode(), {"content-type": "text/html; charset=utf-8"})

    @classmethod
    def redirect(cls, address: str, **query: str) -> Answer:
        separator = "&" if urlsplit(address).query else "?"
        return cls(302, b"", {"location": f"{address}{separator}{urlencode(query)}"})


Route = Callable[[Request], Answer]


class Web:
    """Listens on a free loopback port between ``start`` and ``stop``; a context manager.

    ``requests`` has every request, oldest first. One is answered at a time, so that what the
    routes keep needs no lock of its own.
    """

    def __init__(self, routes: Mapping[tuple[str, str], Route]) -> None:
        self.requests: list[Request] = []
        self._routes = routes
        self._one_at_a_time = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.url = ""

    def start(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=type(self).__name__,
            daemon=True,
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(10)
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 30  # seconds; browsers open connections ahead of need

            def do_GET(self) -> None:
                self._answer()

            do_POST = do_GET

            def _answer(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length).decode()
                parts = urlsplit(self.path)
                query, form = _fields(parts.query), _fields(body)
                assert self.command is not None
                answer = web.serve(Request(self.command, parts.path, query, form, self.headers))
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing: ``requests`` has it."""

        return Handler

    def serve(self, request: Request) -> Answer:
        with self._one_at_a_time:
            self.requests.append(request)
            route = self._routes.get((request.method, request.path))
            return route(request) if route else Answer.json({"message": "Not Found"}, 404)


def _fields(encoded: str) -> dict[str, str]:
    return dict(parse_qsl(encoded, keep_blank_values=True))
