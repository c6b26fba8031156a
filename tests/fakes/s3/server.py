"""The fake's socket, and what each request gets."""

import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.fakes.s3.signature import fault

_XML = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True)
class Asked:
    """A request: ``PUT``, ``jobs/1/a.json``; of a listing the key is empty."""

    method: str
    key: str


class FakeS3:
    """One bucket, in ``objects``. ``asked`` is what was asked so far, answered or not.

    While ``status`` is set, each request gets it with ``code``; while ``silent`` is, none gets an
    answer, until ``close`` or ``speak``. ``short`` breaks answers with a body off in the middle.
    """

    KEY, SECRET = "AKIAFAREBOXFAKE", "fake-secret/with+signs=in-it"

    def __init__(self, bucket: str = "results") -> None:
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.status = 0
        self.code = "ServiceUnavailable"
        self.silent = False
        self.short = False
        self._speaking = threading.Event()
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.fake = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def options(self, **changes: object) -> dict[str, object]:
        """What ``config.jobs.storage`` makes of settings that name this bucket."""
        return {
            "bucket_name": self.bucket,
            "location": "",
            "region_name": "us-east-1",
            "endpoint_url": self.url,
            "access_key": self.KEY,
            "secret_key": self.SECRET,
        } | changes

    def reset(self) -> None:
        """As it was made."""
        self.speak()
        self.objects.clear()
        self.asked.clear()
        self.status, self.short = 0, False

    def hush(self) -> None:
        """Answer nobody."""
        self._speaking.clear()
        self.silent = True

    def speak(self) -> None:
        """Answer again; who has waited is cut off."""
        self.silent = False
        self._speaking.set()

    def wait_for_words(self) -> None:
        self._speaking.wait(60)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.speak()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeS3


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_PUT(self) -> None:
        self._answer()

    do_GET = do_HEAD = do_DELETE = do_PUT

    def _answer(self) -> None:
        body = self._body()
        fake, parts = self.server.fake, urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        fake.asked.append(Asked(self.command, key))
        if fake.silent:
            fake.wait_for_words()
            self.close_connection = True
            return
        if fake.status:
            return self._refuse(fake.status, fake.code)
        headers = {name.lower(): value for name, value in self.headers.items()}
        url = fake.url + self.path
        if wrong := fault(self.command, url, headers, body, fake.KEY, fake.SECRET):
            return self._refuse(403, wrong)
        if bucket != fake.bucket:
            return self._refuse(404, "NoSuchBucket")
        if not key:
            return self._list(parse_qs(parts.query, keep_blank_values=True))
        self._object(key, body)

    def _body(self) -> bytes:
        if self.headers.get("expect", "").lower() == "100-continue":
            pass  # http.server has said to go on
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _object(self, key: str, body: bytes) -> None:
        objects = self.server.fake.objects
        if self.command == "PUT":
            objects[key] = body
            self._send(200)
        elif self.command == "DELETE":
            objects.pop(key, None)
            self._send(204)
        elif key in objects:
            self._send(200, objects[key])
        else:
            self._refuse(404, "NoSuchKey")

    def _list(self, query: dict[str, list[str]]) -> None:
        """Objects under a prefix, with the folders there, in pages of three."""
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        after = query.get("marker", [""])[0]
        names = set()
        for key in self.server.fake.objects:
            if key.startswith(prefix):
                rest, found, _ = key[len(prefix) :].partition(delimiter or "\0")
                names.add(prefix + rest + found)
        listed = sorted(name for name in names if name > after)
        more, listed = len(listed) > 3, listed[:3]
        rows = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            if delimiter and name.endswith(delimiter)
            else f"<Contents><Key>{escape(name)}</Key><Size>1</Size></Contents>"
            for name in listed
        )
        marker = f"<NextMarker>{escape(listed[-1])}</NextMarker>" if more else ""
        said = str(more).lower()
        self._send(
            200,
            f'<ListBucketResult xmlns="{_XML}"><Name>{self.server.fake.bucket}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><Delimiter>{delimiter}</Delimiter>"
            f"<IsTruncated>{said}</IsTruncated>{marker}{rows}</ListBucketResult>".encode(),
        )

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    def _send(self, status: int, body: bytes = b"") -> None:
        short = self.server.fake.short and self.command == "GET" and len(body) > 1
        with suppress(OSError):  # whoever asked has left
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if short else body)
        if short:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass
