"""The HTTP client that asks providers, against servers that answer byte for byte what is told."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.fallback import silence
from common.errors import UpstreamError, UpstreamTimeout
from proxy.upstream import HttpAnswer, Provider, Upstream, read_bounded

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def sized(body: bytes, head: bytes = OK) -> bytes:
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


@dataclass
class Peer:
    """Answers each request with the next of ``answers``, in pieces of ``size`` bytes; the second
    of each tells whether the connection is closed behind it. If it ``holds``, a body waits.
    ``room``: of its own send buffer, where that matters; ``taken``: bytes it was rid of."""

    answers: list[tuple[bytes, bool]]
    size: int = 100_000
    holds: bool = False
    room: int = 0
    taken: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    body_may_come: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        if self.room:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.room)
            writer.transport.set_write_buffer_limits(high=0)
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                raw, closes = self.answers.pop(0)
                if self.holds:
                    writer.write(raw[: raw.index(b"\r\n\r\n") + 4])
                    raw = raw[raw.index(b"\r\n\r\n") + 4 :]
                    await self.body_may_come.wait()
                for start in range(0, len(raw), self.size):
                    writer.write(raw[start : start + self.size])
                    await writer.drain()
                    self.taken += self.size
                    await asyncio.sleep(0)  # the loop is the client's too
                if closes:
                    break
            else:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closed.set()
            writer.close()


@asynccontextmanager
async def peer(
    *answers: bytes,
    closes: bool = False,
    size: int = 100_000,
    holds: bool = False,
    room: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Peer]:
    one = Peer([(answer, closes) for answer in answers], size, holds, room)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    async with asyncio.timeout(20), server:
        yield one
        if one.tasks:
            await asyncio.wait(one.tasks)


@asynccontextmanager
async def client(seconds: float = 5.0) -> AsyncIterator[Upstream]:
    upstream = Upstream(seconds)
    try:
        yield upstream
    finally:
        await upstream.close()


class Asked:
    sent = False


async def ask(
    upstream: Upstream, port: int, secret: str = "sk-1", scheme: str = "http"
) -> HttpAnswer:
    address = f"{scheme}://127.0.0.1:{port}/v1"
    provider = Provider("openai", address, {"authorization": f"Bearer {secret}"})
    return await upstream.post(provider, "/chat/completions", b"{}", {}, Asked())


async def body_of(upstream: Upstream, port: int) -> bytes:
    return await read_bounded(await ask(upstream, port), 1_000_000)


BODIES = {
    "chunked": CHUNKED + chunk(b"hello ") + chunk(b"you") + b"0\r\n\r\n",
    "trailers": CHUNKED + chunk(b"hello you") + b"0\r\nx-sum: 1\r\n\r\n",
    "a length": sized(b"hello you"),
    "interim answers": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + sized(b"hello you"),
}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize("raw", BODIES.values(), ids=BODIES)
async def test_a_body_is_read_in_any_pieces_and_the_connection_kept(raw: bytes, size: int) -> None:
    async with peer(raw, raw, size=size) as server, client() as upstream:
        assert await body_of(upstream, server.port) == b"hello you"
        assert await body_of(upstream, server.port) == b"hello you"
    assert (server.connections, len(server.requests)) == (1, 2)
    assert server.requests[0] == (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-length: 2\r\n"
        b"user-agent: farebox\r\naccept-encoding: identity\r\nauthorization: Bearer sk-1\r\n\r\n{}"
    ) % server.port  # fmt: skip


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async with peer(OK + b"\r\nhello you", closes=True) as server, client() as upstream:
        assert await body_of(upstream, server.port) == b"hello you"


CUT = {
    "in a chunk": CHUNKED + b"5\r\nhel",
    "behind a chunk": CHUNKED + chunk(b"hel"),
    "in a length": OK + b"content-length: 9\r\n\r\nhel",
    "no chunk": CHUNKED + chunk(b"hel") + b"zz\r\n",
    "endless trailers": CHUNKED + chunk(b"hel") + b"0\r\nx-a: " + b"a" * 200_000,
}


@pytest.mark.parametrize("raw", CUT.values(), ids=CUT)
async def test_a_break_is_told_once_all_that_came_is_read(raw: bytes) -> None:
    async with peer(raw, closes=True) as server, client() as upstream:
        answer = await ask(upstream, server.port)
        got = b""

        async def read_on() -> None:
            nonlocal got
            while part := await answer.read():
                got += part

        with pytest.raises(UpstreamError, match="broke off") as told:
            await read_on()
        assert got == b"hel"
        assert told.value.should_retry is False


NO_ANSWERS = {
    "nothing": b"",
    "an endless header": OK + b"x-a: " + b"a" * 200_000,
    "very many headers": OK + b"x-a: b\r\n" * 20_000,
    "endless interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 5_000,
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n"
    b"connection: upgrade\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length and chunks": OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("raw", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    async with peer(raw, closes=True) as server, client() as upstream:
        with pytest.raises(UpstreamError) as told:
            await ask(upstream, server.port)
        assert told.value.should_retry is False


async def test_bytes_behind_an_answer_are_nobodys() -> None:
    """Else they would be the next caller's answer."""
    stale = sized(b"first") + sized(b"somebody else's")
    async with peer(stale, sized(b"second")) as server, client() as upstream:
        assert await body_of(upstream, server.port) == b"first"
        assert await body_of(upstream, server.port) == b"second"
        assert server.connections == 2


async def test_a_connection_that_the_provider_has_closed_is_not_used() -> None:
    async with peer(sized(b"first"), sized(b"second"), closes=True) as server, client() as upstream:
        assert await body_of(upstream, server.port) == b"first"
        await server.closed.wait()
        await asyncio.sleep(0.05)  # in which its end arrives
        assert await body_of(upstream, server.port) == b"second"


async def test_an_answer_that_is_dropped_closes_its_connection() -> None:
    async with peer(CHUNKED + chunk(b"hello")) as server, client() as upstream:
        answer = await ask(upstream, server.port)
        assert await answer.read() == b"hello"
        answer.close()
        await server.closed.wait()


PACKED = {
    "gzip": gzip.compress(b"hello you"),
    "deflate": zlib.compress(b"hello you"),
}


@pytest.mark.parametrize("packing", PACKED)
async def test_a_compressed_body_comes_out_plain(packing: str) -> None:
    head = OK + b"content-encoding: " + packing.encode() + b"\r\n"
    whole, cut = PACKED[packing], PACKED[packing][:-6]
    raws = [sized(body, head) for body in (whole, cut, b"no")]
    async with peer(*raws) as server, client() as upstream:
        assert await body_of(upstream, server.port) == b"hello you"
        for _ in range(2):
            with pytest.raises(UpstreamError, match="broke off"):
                await body_of(upstream, server.port)


async def test_a_few_compressed_bytes_do_not_become_very_many_at_once() -> None:
    packed = gzip.compress(bytes(10_000_000))
    head = OK + b"content-encoding: gzip\r\n"
    async with peer(sized(packed, head)) as server, client() as upstream:
        answer = await ask(upstream, server.port)
        sizes = []
        while part := await answer.read():
            sizes.append(len(part))
        assert sum(sizes) == 10_000_000
        assert max(sizes) <= 64 * 1024


async def test_an_unknown_compression_is_refused() -> None:
    head = OK + b"content-encoding: br\r\n"
    async with peer(sized(b"?", head)) as server, client() as upstream:
        with pytest.raises(UpstreamError, match="not understood"):
            await ask(upstream, server.port)


async def test_while_nobody_reads_the_provider_is_not_read_from() -> None:
    """Neither by us nor, beyond the buffer of one connection, by the kernel in our name."""
    much, room = 30_000_000, 64 * 1024  # the provider's own buffer is small here
    async with peer(sized(bytes(much)), room=room) as server, client() as upstream:
        answer = await ask(upstream, server.port)
        got = 0
        while got < much // 2:  # read fast at first, which makes the kernel expect more of it
            got += len(await answer.read())
        before = -1
        while server.taken > before:  # in which all of it would come
            before = server.taken
            await asyncio.sleep(0.3)
        assert server.taken - got < 1_000_000, "what the provider was rid of"
        held = len(answer.rest())
        assert 0 < held < 1_000_000
        got += held
        while part := await answer.read():
            got += len(part)
        assert got == much


async def test_bytes_are_offered_as_they_come_and_nobody_is_woken_for_what_is_taken() -> None:
    raw = CHUNKED + b"".join(chunk(b"%d;" % n) for n in range(10)) + b"0\r\n\r\n"
    taken, waited = bytearray(), []

    async def rest() -> None:
        await asyncio.sleep(0.01)
        waited.append(bytes(taken))

    def take(body: bytes) -> bool | Awaitable[None]:
        if b"7;" in body:
            return False
        taken.extend(body)
        return rest() if b"3;" in body else True

    async with peer(raw, size=7, holds=True) as server, client() as upstream:  # a chunk a piece
        answer = await ask(upstream, server.port)
        asyncio.get_running_loop().call_soon(server.body_may_come.set)
        got = b""
        while part := await answer.read(take):
            got += part
        assert b"7;" in got
        assert b"3;" in waited[0]
        both = sorted((bytes(taken) + got).rstrip(b";").split(b";"))
        assert both == [b"%d" % n for n in range(10)], "each byte once"


@pytest.mark.parametrize("secret", ["a\r\nx-evil: 1", "a\nb", "a\0b", "a\u2013b"])
async def test_nothing_can_be_smuggled_into_a_header(secret: str) -> None:
    async with peer(sized(b"")) as server, client() as upstream:
        with pytest.raises(UpstreamError) as told:
            await ask(upstream, server.port, secret)
        assert told.value.should_retry is None
        assert server.connections == 0


async def test_a_connection_that_is_not_taken_ends_in_time() -> None:
    with silence() as port:
        async with client(0.2) as upstream:
            with pytest.raises(UpstreamTimeout) as told:
                await ask(upstream, port)
            assert told.value.should_retry is None, "nothing was sent"


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def test_https_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    async with peer(sized(b"hello"), tls=tls) as server:
        async with client() as upstream:
            with pytest.raises(UpstreamError, match="could not be reached"):
                await ask(upstream, server.port, scheme="https")
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        async with client() as upstream:
            answer = await ask(upstream, server.port, scheme="https")
            assert await read_bounded(answer, 100) == b"hello"
