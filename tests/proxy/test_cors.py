"""The pages of our extensions may read what the proxy answers, and no other page may."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from proxy.cors import Cors
from tests.fakes.providers import FakeProviders
from tests.proxy.conftest import assert_all_settled, assert_log_clean, lasting, up_to_date
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, server_environment

pytestmark = pytest.mark.xdist_group("proxy-cors")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)

OURS = "chrome-extension://" + "a" * 32
ELSEWHERE = (
    "https://evil.example", "chrome-extension://" + "b" * 32, "null", OURS + ".evil.example",
    OURS.upper(), OURS + "/", "*",
)  # fmt: skip
EXPOSED = {"x-farebox-call", "x-request-id", "request-id", "retry-after"}


@pytest.fixture(scope="module")
def cors_server(
    fake_providers: FakeProviders, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farebox]:
    log = tmp_path_factory.mktemp("cors") / "server.log"
    ids = f"{'a' * 32},{'c' * 32}"
    environment = server_environment(fake_providers, database_url, EXTENSION_IDS=ids)
    with lasting(Farebox(environment, log)) as farebox:
        yield farebox


@pytest.fixture
def web(cors_server: Farebox, fake: FakeProviders, clean_books: bool) -> Iterator[httpx.Client]:
    start = cors_server.log_size
    with httpx.Client(base_url=up_to_date(cors_server).url, trust_env=False, timeout=30) as client:
        yield client
    assert_all_settled(fake)
    assert_log_clean(cors_server.log_text(start), fake)


def preflight(web: httpx.Client, path: str, origin: str, headers: str, method: str = "POST") -> Any:
    sent = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }
    return web.options(path, headers=sent)


def granted(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


OPENAI_SENDS = (
    "authorization,content-type,x-stainless-arch,x-stainless-lang,x-stainless-os,"
    "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,"
    "x-stainless-runtime-version,x-stainless-timeout,openai-organization,openai-project"
)
ANTHROPIC_SENDS = (
    "anthropic-beta,anthropic-dangerous-direct-browser-access,anthropic-version,content-type,"
    "x-api-key,x-stainless-arch,x-stainless-helper-method,x-stainless-lang,x-stainless-os,"
    "x-stainless-package-version,x-stainless-retry-count,x-stainless-runtime,"
    "x-stainless-runtime-version,x-stainless-timeout"
)


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        (OPENAI.path, "POST", OPENAI_SENDS),
        (ANTHROPIC.path, "POST", ANTHROPIC_SENDS),
        ("/v1/models", "GET", "authorization"),
        ("/ai-proxy", "POST", "x-session-token, Content-Type, Idempotency-Key"),
        (OPENAI.path, "POST", ""),
    ],
)
def test_a_preflight_needs_no_credential(
    web: httpx.Client, path: str, method: str, headers: str
) -> None:
    answer = preflight(web, path, OURS, headers, method)

    assert answer.status_code == 200
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == OURS
    assert method in answer.headers["access-control-allow-methods"]
    names = {name.strip().lower() for name in headers.split(",") if name}
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert names == {name for name in allowed if name}
    assert "access-control-allow-credentials" not in answer.headers
    assert "origin" in answer.headers["vary"]


def test_a_header_nobody_needs_is_not_granted(web: httpx.Client) -> None:
    answer = preflight(web, OPENAI.path, OURS, "authorization, cookie, x-forwarded-for, x-evil")

    assert answer.headers["access-control-allow-headers"] == "authorization"


@pytest.mark.parametrize("origin", ELSEWHERE)
def test_other_origins_are_granted_nothing(web: httpx.Client, rider: Rider, origin: str) -> None:
    refused = preflight(web, OPENAI.path, origin, "authorization")
    assert refused.status_code == 405
    assert granted(refused) == set()
    headers = {"origin": origin, "authorization": f"Bearer {rider.secret}"}
    answer = web.get("/v1/models", headers=headers)
    assert answer.status_code == 200
    assert granted(answer) == set()
    assert "origin" in answer.headers["vary"]


@both
@pytest.mark.parametrize("stream", [False, True])
def test_every_answer_may_be_read(
    web: httpx.Client, rider: Rider, dialect: Dialect, stream: bool
) -> None:
    headers = {"origin": OURS, **dialect.headers(rider.secret)}
    answer = web.post(dialect.path, headers=headers, json=dialect.body(stream=stream))

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == OURS
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= EXPOSED
    assert answer.headers["x-farebox-call"]


@both
def test_errors_may_be_read_too(web: httpx.Client, rider: Rider, dialect: Dialect) -> None:
    mine = {"origin": OURS, **dialect.headers(rider.secret)}
    answers = [
        web.post(dialect.path, headers={"origin": OURS}, json=dialect.body()),
        web.post(dialect.path, headers=mine, json=dialect.body(model="gpt-99")),
        web.post(dialect.path, headers=mine, content=b"{"),
        web.get(dialect.path, headers=mine),
        web.get("/v1/nothing", headers=mine),
        web.options(dialect.path, headers=mine),  # no preflight: it asks for no method
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 400, 405, 404, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == OURS
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_without_an_origin_nothing_is_added(web: httpx.Client, rider: Rider) -> None:
    answer = web.get("/v1/models", headers={"authorization": f"Bearer {rider.secret}"})

    assert granted(answer) == set()
    assert "vary" not in answer.headers


def test_with_no_extension_there_is_no_origin() -> None:
    sent = {b"origin": b"", b"access-control-request-method": b"POST"}
    assert Cors([]).preflight("OPTIONS", sent) is None
    sent[b"origin"] = OURS.encode()
    assert Cors([]).preflight("OPTIONS", sent) is None
    assert Cors([OURS]).preflight("OPTIONS", sent) is not None
    assert Cors([OURS]).preflight("POST", sent) is None
