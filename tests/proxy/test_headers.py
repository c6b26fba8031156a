"""Headers in both directions: an allow-list, and nothing smuggled through a line of them."""

import json
import re

import pytest

from tests.fakes.providers import ANTHROPIC_KEY, OPENAI_KEY, Behaviour, FakeProviders
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, post
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from tests.proxy.wire import Wire, request

pytestmark = pytest.mark.xdist_group("proxy-input")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)

# What a client may try to make the provider, or us, believe.
NASTY = {
    "cookie": "session=1",
    "x-forwarded-for": "10.0.0.1",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "http",
    "forwarded": "for=10.0.0.1",
    "x-real-ip": "10.0.0.1",
    "via": "1.1 evil",
    "te": "trailers",
    "keep-alive": "timeout=99",
    "proxy-authorization": "Basic x",
    "proxy-connection": "keep-alive",
    "upgrade": "h2c",
    "openai-organization": "org-mine",
    "openai-project": "proj-mine",
    "openai-beta": "assistants=v2",
    "x-stainless-helper": "stream",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "evil/1.0",
    "referer": "http://evil.example",
    "accept-encoding": "br",
    "x-session-token": "abc",
    "idempotency-key": "k1",
    "content-encoding": "identity",
}
ALLOWED_UPSTREAM = {
    "host", "user-agent", "accept-encoding", "content-type", "content-length",
    "authorization", "x-api-key", "anthropic-version", "anthropic-beta",
}  # fmt: skip
ALLOWED_DOWNSTREAM = {
    "date", "server", "content-type", "content-length", "transfer-encoding", "cache-control",
    "x-accel-buffering", "x-farebox-call", "x-request-id", "request-id", "connection",
}  # fmt: skip


@both
def test_only_the_protocols_own_switches_reach_the_provider(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    switches = {"anthropic-beta": "a-1,b-2", "anthropic-version": "2023-06-01"}
    assert dialect.ask(farebox, rider.secret, headers=NASTY | switches).status == 200
    (served,) = fake.requests
    got = served.headers
    assert set(got) <= ALLOWED_UPSTREAM
    assert got["user-agent"] == "farebox"
    assert rider.secret.encode() not in served.raw_head + served.body
    if dialect is OPENAI:
        assert got["authorization"] == f"Bearer {OPENAI_KEY}"
        assert not {"x-api-key", "anthropic-beta", "anthropic-version"} & set(got)
    else:
        assert got["x-api-key"] == ANTHROPIC_KEY
        assert (got["anthropic-beta"], got["anthropic-version"]) == ("a-1,b-2", "2023-06-01")
        assert "authorization" not in got


def test_ai_proxy_takes_no_switches(farebox: Farebox, fake: FakeProviders, rider: Rider) -> None:
    """It is held for what the model takes by itself: a switch could open what costs more."""
    asked = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi"}]}
    headers = {
        "authorization": f"Bearer {rider.secret}",
        "anthropic-beta": "context-1m-2025-08-07",
        "anthropic-version": "2099-01-01",
    }
    assert post(farebox, "/ai-proxy", json.dumps(asked).encode(), headers).status == 200
    (served,) = fake.requests
    assert "anthropic-beta" not in served.headers
    assert served.headers["anthropic-version"] == "2023-06-01"


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_only_our_own_headers_reach_the_client(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, stream: bool
) -> None:
    fake.script(
        Behaviour(
            headers=(
                ("set-cookie", "__cf_bm=1"), ("server", "cloudflare"), ("x-evil", OPENAI_KEY),
                ("location", "http://evil.example"), ("x-farebox-call", "forged"),
                ("access-control-allow-origin", "*"), ("strict-transport-security", "max-age=1"),
                ("x-ratelimit-remaining-requests", "9"), ("alt-svc", "h3"), ("via", "1.1 up"),
            )
        )
    )  # fmt: skip
    reply = dialect.ask(farebox, rider.secret, stream=stream)
    assert set(reply.headers) <= ALLOWED_DOWNSTREAM
    assert reply.headers["x-farebox-call"] == str(rider.only_call().id)
    assert reply.headers[dialect.id_header] == str(rider.only_call().id)
    assert "req_" not in reply.headers[dialect.id_header], "the provider's own id"


SMUGGLED = {
    "bare LF in a value": b"x-a: 1\nx-api-key: evil\r\n",
    "bare CR in a value": b"x-a: 1\rx-api-key: evil\r\n",
    "CR at the end": b"x-a: 1\r\r\n",
    "NUL in a value": b"x-a: 1\x00\r\n",
    "LF in the beta header": b"anthropic-beta: a\nx-evil: 1\r\n",
    "space before the colon": b"transfer-encoding : chunked\r\n",
    "folded": b"x-a: 1\r\n transfer-encoding: chunked\r\n",
    "both lengths": b"transfer-encoding: chunked\r\n",
    "two lengths": b"content-length: 5\r\n",
    "a sign before the length": b"content-length: +5\r\n",
}


@both
@pytest.mark.parametrize("line", SMUGGLED.values(), ids=SMUGGLED)
def test_a_smuggled_line_never_arrives(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, line: bytes
) -> None:
    """Refused as bad HTTP, in the protocol's shape; or taken as one harmless header."""
    data = request(dialect, rider.secret, json.dumps(dialect.body()).encode())
    with Wire(farebox) as wire:
        wire.send(data.replace(b"\r\n", b"\r\n" + line, 1))
        status, headers, body = wire.read_answer()
    if status == 200:
        (served,) = fake.requests
        assert set(served.headers) <= ALLOWED_UPSTREAM
        assert not re.search(rb"evil|chunked", served.raw_head)
        rider.only_call()
    else:
        assert status == 400
        error = json.loads(body)["error"]
        assert error["type"] == "invalid_request_error"
        assert headers[dialect.id_header]
        assert fake.requests == []
        rider.assert_untouched()


def test_bare_line_breaks_are_refused(farebox: Farebox, fake: FakeProviders, rider: Rider) -> None:
    for name in ("bare LF in a value", "bare CR in a value", "NUL in a value"):
        data = request(OPENAI, rider.secret, json.dumps(OPENAI.body()).encode())
        with Wire(farebox) as wire:
            wire.send(data.replace(b"\r\n", b"\r\n" + SMUGGLED[name], 1))
            status, _, _ = wire.read_answer()
        assert status == 400, name
    assert fake.requests == []


@both
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_other_methods(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, method: str
) -> None:
    with Wire(farebox) as wire:
        wire.send(request(dialect, rider.secret, b"", method=method))
        head = wire.read_until(b"\r\n\r\n").lower()
        assert b" 405 " in head.split(b"\r\n")[0]
        assert b"\r\nallow: post\r\n" in head
        if method == "HEAD":
            wire.send(request(dialect, rider.secret, b"", method="GET"))
            wire.got = b""
            assert wire.read_answer()[0] == 405, "a HEAD's answer has no body"
    assert fake.requests == []
    rider.assert_untouched()


@pytest.mark.parametrize(
    "path",
    ["/v1/", "/v1/nothing", "/v1/chat/completions/", "/v1//chat/completions", "/v1/messages/x",
     "/v1/chat/completions%2f", "/v1/../v1/messages2", "/v1/files"],
)  # fmt: skip
def test_other_addresses(farebox: Farebox, fake: FakeProviders, rider: Rider, path: str) -> None:
    with Wire(farebox) as wire:
        wire.send(request(OPENAI, rider.secret, b"{}", path=path))
        status, _, body = wire.read_answer()
    assert status == 404
    assert "error" in json.loads(body)
    assert fake.requests == []


def test_either_header_carries_the_key_to_either_protocol(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    for dialect, other in ((OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)):
        headers = {dialect.key_header: "", **other.headers(rider.secret)}
        assert dialect.ask(farebox, "x", headers=headers).status == 200
    assert len(rider.calls()) == 2


def test_two_pipelined_requests_are_answered_in_order(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.once(Behaviour(text="first ", plain_delay=0.3), Behaviour(text="second "))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret)
        wire.ask(OPENAI, rider.secret)
        assert b"first" in wire.read_answer()[2]
        assert b"second" in wire.read_answer()[2]
    assert [call.status for call in rider.calls()] == ["completed", "completed"]
