"""Failure table: a provider that can't be reached, or that does not speak HTTP at all."""

import socketserver
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import ANTHROPIC, OPENAI
from tests.proxy.outcomes import assert_keeps_secrets
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, free_port
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-failures")

GARBAGE = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "no status": b"HTTP/1.1\r\n\r\n",
    "an endless header": b"HTTP/1.1 200 OK\r\nx-a: " + b"x" * 100_000,
    "not gzip": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n"
    b"content-length: 5\r\n\r\nhello",
    "not JSON": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n"
    b"hello",
    "a list": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "chunks that are none": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n",
}


class Canned(socketserver.ThreadingTCPServer):
    """Answers anything with the same bytes, and closes."""

    daemon_threads = True
    allow_reuse_address = True
    answer = b""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Canned)
        self.request.recv(65_536)
        self.request.sendall(self.server.answer)


@pytest.fixture
def canned() -> Iterator[Canned]:
    with Canned() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_nobody_is_there_or_somebody_else_is(
    own_farebox: Callable[..., Farebox], canned: Canned, fake: FakeProviders, rider: Rider
) -> None:
    farebox = own_farebox(
        OPENAI_BASE_URL=f"http://127.0.0.1:{canned.server_address[1]}/v1",
        ANTHROPIC_BASE_URL=f"http://127.0.0.1:{free_port()}",
    )
    for stream in (True, False):
        reply = ANTHROPIC.ask(farebox, rider.secret, stream=stream)
        ANTHROPIC.assert_refused(reply, 502)
        assert "x-should-retry" not in reply.headers, "nothing was sent: nobody can charge"
        assert_keeps_secrets(reply, fake)
    for name, answer in GARBAGE.items():
        canned.answer = answer
        for stream in (True, False):
            reply = OPENAI.ask(farebox, rider.secret, stream=stream)
            OPENAI.assert_refused(reply, 502)
            if not answer.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
                assert reply.headers["x-should-retry"] == "false", name
            assert_keeps_secrets(reply, fake)
    assert {call.status for call in rider.calls()} == {Call.Status.FAILED}
    assert (rider.spent, rider.open_holds()) == (0, 0)
    assert fake.requests == []
