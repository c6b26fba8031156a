"""A fake Sentry and a fake OpenTelemetry collector in one, over loopback: keeps what it is sent."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """A context manager; what came is in ``events`` (Sentry's), ``spans`` and ``everything``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._got: list[tuple[str, bytes]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                with collector._lock:
                    collector._got.append((self.path, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.dsn = self.url.replace("://", "://public-half@") + "/7"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def clear(self) -> None:
        with self._lock:
            self._got.clear()

    @property
    def everything(self) -> bytes:
        """All bodies, for a search."""
        with self._lock:
            return b"\n".join(body for _, body in self._got)

    @property
    def events(self) -> list[Any]:
        """The events of Sentry's envelopes."""
        found = []
        for path, body in self._sent():
            if path.endswith("/envelope/"):
                _, *items = body.split(b"\n")
                found += [
                    json.loads(item)
                    for head, item in zip(items[::2], items[1::2], strict=False)
                    if json.loads(head or b"{}").get("type") == "event"
                ]
        return found

    @property
    def spans(self) -> list[Any]:
        """The spans, as OTLP has them."""
        found: list[Any] = []
        for path, body in self._sent():
            if path == "/v1/traces":
                request = ExportTraceServiceRequest.FromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        found += scope.spans
        return found

    def _sent(self) -> list[tuple[str, bytes]]:
        with self._lock:
            return list(self._got)
