"""New jobs are asked for on two ways, through ``jobs.app`` and through Django: the answers are the
same but for ids and times, and so is what is counted.

A cookie, of whatever kind, sends a request to Django; of what the two ways cost, the last test
tells them apart.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
import redis
from django.db import connection, transaction

from accounts import verbs as accounts
from accounts.limits import Counter, hit
from accounts.models import ApiKey
from billing.entitlements import assign_plan
from billing.models import Plan
from common.ids import uuid7
from jobs import creating
from jobs.models import Job
from ledger.models import Account
from tests.fakes.providers import FakeProviders
from tests.jobs.asking import chat
from tests.jobs.crew import own_valkey
from tests.proxy.conftest import lasting, up_to_date
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox, server_environment

SERVER = "alone"  # by which PostgreSQL knows its connections
RATE = 400  # a minute and user
THERE = {"cookie": "to=django"}
# What differs from answer to answer.
_OWN = re.compile(rb'"(?:id|created)": ?"[^"]+"')


@pytest.fixture(scope="module")
def alone(
    fake_providers: FakeProviders, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farebox]:
    """A web process with no worker beside it, and counters of its own."""
    changes = {
        "REDIS_URL": own_valkey(), "API_RATE_USER": f"{RATE}/minute", "JOBS_OPEN_MOST": "300",
        "PGAPPNAME": SERVER,
    }  # fmt: skip
    log = tmp_path_factory.mktemp("jobs") / "web.log"
    with lasting(Farebox(server_environment(fake_providers, database_url, **changes), log)) as web:
        yield web


class Ways:
    """The two ways to the same server."""

    def __init__(self, web: Farebox, rider: Rider) -> None:
        self.rider = rider
        self.web = web
        self.client = httpx.Client(base_url=web.url, timeout=30, trust_env=False)

    def ask(self, body: Any = None, **headers: str) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"authorization": f"Bearer {self.rider.secret}", "content-type": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(
            "/api/jobs", content=raw, headers={name: value for name, value in told.items() if value}
        )

    def both(self, body: Any, **headers: str) -> httpx.Response:
        """Ask on both; the answer, which is the same."""
        here, there = self.ask(body, **headers), self.ask(body, **headers, **THERE)
        assert here.status_code == there.status_code, (here.text, there.text)
        assert _OWN.sub(b"", here.content) == _OWN.sub(b"", there.content)
        assert _named(here) == _named(there)
        assert here.headers["x-request-id"] != there.headers["x-request-id"]
        return here


def _named(answer: httpx.Response) -> dict[str, str]:
    own = {"date", "x-request-id"}
    return {name: value for name, value in answer.headers.items() if name not in own}


@pytest.fixture
def ways(alone: Farebox, clean_books: bool, rider: Rider) -> Iterator[Ways]:
    with redis.Redis.from_url(own_valkey()) as valkey:
        valkey.flushdb()
    start = alone.log_size
    ways = Ways(up_to_date(alone), rider)
    yield ways
    ways.client.close()
    log = alone.log_text(start)
    assert "unexpected" not in log
    assert "unhandled" not in log


def new(kind: str = "completion", given: Any = None, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "input": given} | more


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "noop"},
        new("noop"),
        new("noop", webhook=""),
        new(given=chat()),
        new(given=chat("Zwölf \u0000 \U0001f600")),
        new(given={"model": "claude-sonnet-4-5", "max_tokens": 5, "messages": chat()["messages"]}),
        new("batch", {"requests": [chat("one"), chat("two")]}),
        json.dumps(new(given=chat()), indent=1).encode(),
    ],
    ids=lambda body: str(body)[:50],
)
def test_a_job_is_made(ways: Ways, body: Any) -> None:
    answer = ways.both(body)
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    here, there = Job.objects.order_by("created")
    assert (here.kind, here.held, here.total) == (there.kind, there.held, there.total)
    parts = [
        list(job.items.values_list("place", "state", "input", "output_tokens", "held"))
        for job in (here, there)
    ]
    assert parts[0] == parts[1]
    assert ways.rider.held == here.held + there.held


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"kind": "noop", "input": NaN}', 400),
        (b'{"kind": "noop"}\xff', 400),
        (b'\xef\xbb\xbf{"kind": "noop"}', 400),
        (b'{"kind": "noop", "input": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400),
        ({}, 400),
        ({"kind": 7}, 400),
        ({"kind": None}, 400),
        ({"kind": " noop "}, 202),
        ({"kind": "noop", "more": 1}, 202),
        ({"kind": "painting"}, 400),
        (new("noop", {"for": "what"}), 400),
        (new("noop", webhook=None), 400),
        (new("noop", webhook="https://127.0.0.1/"), 400),
        (new(), 400),
        (new(given=chat(stream=True)), 400),
        (new(given=chat(seed=10**30)), 400),
        (new(given=chat(base_url="http://169.254.169.254/")), 400),
        (new(given=chat("\ud800")), 400),
        (new("batch", {"requests": [chat(), chat(n=0)]}), 400),
        (new(given=chat(model="gpt-900")), 404),
        (new(given=chat("word " * 30_000)), 202),  # more than is parsed here
        (b" " * 3_000_000, 413),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_asked(ways: Ways, body: Any, status: int) -> None:
    answer = ways.both(body)
    assert answer.status_code == status, answer.text
    if status != 202:
        assert not Job.objects.exists()
        ways.rider.assert_untouched()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer fb_wrong"}, 401),
        ({"authorization": "Bearer fb_" + "0" * 46}, 401),
        ({"authorization": "Basic eDp5"}, 401),
        ({"x_api_key": "fb_wrong"}, 202),  # the good one counts
        ({"content_type": "text/plain"}, 415),
        ({"content_type": ""}, 415),
        ({"content_type": "multipart/form-data; boundary=x"}, 415),
        ({"content_type": "application/json; charset=utf-8"}, 202),
        ({"content_type": "Application/JSON"}, 202),
        ({"accept": "text/html"}, 202),
        ({"accept": "application/json; indent=2"}, 202),
        ({"host": "elsewhere.example"}, 400),
        ({"idempotency_key": "two\twords"}, 400),
        ({"idempotency_key": "x" * 256}, 400),
        ({"origin": "https://elsewhere.example"}, 202),
    ],
    ids=str,
)
def test_how_it_is_asked(ways: Ways, headers: dict[str, str], status: int) -> None:
    answer = ways.both(new("noop"), **headers)
    # Of a body that is not read Django says what it can't be.
    assert answer.status_code in ({400, 415} if status == 415 else {status}), answer.text


def test_without_the_means(ways: Ways) -> None:
    poor = make_rider("poor@example.com", credits=30_000)
    secret = f"Bearer {poor.secret}"
    for given in (
        new(given=chat(max_tokens=9_000)),
        new("batch", {"requests": [chat(max_tokens=3_000)] * 2}),
    ):
        assert ways.both(given, authorization=secret).status_code == 402
    assert not Job.objects.exists()
    poor.assert_untouched()


def test_a_key_of_little_worth(ways: Ways) -> None:
    body = new(given=chat(max_tokens=3_000))
    user = ways.rider.user
    reads = accounts.issue_key(user=user, name="reads", scopes=["read"]).secret
    capped = accounts.issue_key(user=user, name="capped", monthly_cap=2_000).secret
    over = accounts.issue_key(user=user, name="over")
    ways.ask(new("noop"), authorization=f"Bearer {over.secret}")  # it is remembered here
    accounts.revoke_key(key=over.key)
    for secret, status in ((reads, 403), (capped, 402), (over.secret, 401)):
        assert ways.both(body, authorization=f"Bearer {secret}").status_code == status
    user.is_active = False
    user.save()
    assert ways.both(body).status_code == 401
    assert Job.objects.count() == 1
    ways.rider.assert_untouched()


def test_a_plan_without_the_model(ways: Ways) -> None:
    plan = Plan.objects.create(
        slug="small", name="Small", allowed_models=["gpt-4o"], max_output_tokens=100
    )
    assign_plan(user=ways.rider.user, plan=plan)
    assert ways.both(new(given=chat())).status_code == 403
    body = chat(model="gpt-4o", max_tokens=200)
    assert ways.both(new(given=body)).status_code == 400
    ways.rider.assert_untouched()


def test_a_used_key(ways: Ways) -> None:
    """Whichever way it came first, the other knows it: its digest is the same."""
    body = new(given=chat())
    for key, first, second in (("one", {}, THERE), ("two", THERE, {})):
        made = ways.ask(body, idempotency_key=key, **first)
        again = ways.ask(body, idempotency_key=key, **second)
        assert (made.status_code, again.status_code) == (202, 202)
        assert made.json() == again.json() == ways.both(body, idempotency_key=key).json()
        other = ways.both(new(given=chat("other")), idempotency_key=key)
        assert other.status_code == 422
    assert Job.objects.count() == 2


def test_too_many_at_once(ways: Ways) -> None:
    row = {"kind": "noop", "parts": [], "webhook": "", "key": None, "digest": None}
    for _ in range(300):
        creating.make(job=uuid7(), user=ways.rider.user.pk, **row)
    answer = ways.both(new("noop"))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")


def test_a_repeated_statement_makes_no_second_job(clean_books: bool, rider: Rider) -> None:
    """As when its answer was lost with the connection."""
    row = {"kind": "noop", "parts": [], "webhook": "", "key": None}
    job, digest = uuid7(), bytes(ApiKey.objects.get(user=rider.user).digest)
    first = creating.make(job=job, user=None, digest=digest, **row)
    assert creating.make(job=job, user=None, digest=digest, **row) == first
    assert Job.objects.get().pk == job


def test_use_is_noted(ways: Ways) -> None:
    assert ApiKey.objects.get().last_used_at is None
    assert ways.ask(new("noop")).status_code == 202
    noted = ApiKey.objects.get().last_used_at
    assert noted is not None
    assert ways.ask(new("noop")).status_code == 202
    assert ApiKey.objects.get().last_used_at == noted


async def test_the_two_ways_share_a_counter() -> None:
    rate, who = "6/hour", f"test {uuid7()}"
    counter = Counter()
    for _ in range(3):
        assert hit(rate, who) == await counter.hit(rate, who) == 0
    assert hit(rate, who) > 0
    assert await counter.hit(rate, who) > 0
    await counter.close()


def test_the_rate_holds(ways: Ways, settings: Any) -> None:
    """On this way, whatever came of a request; and none counts twice."""
    settings.REDIS_URL = own_valkey()
    for _ in range(RATE - 8):
        assert hit(f"{RATE}/minute", "user", str(ways.rider.user.pk)) == 0
    for _ in range(2):
        for more in ({}, THERE):
            assert ways.ask(new("painting"), **more).status_code == 400
            assert ways.ask(new("noop"), idempotency_key="same", **more).status_code == 202
    answer = ways.both(new("noop"))
    assert answer.status_code == 429
    assert answer.json()["error"]["message"] == "Too many requests; slow down."
    assert Job.objects.count() == 1


def test_a_key_that_has_ended_uses_up_nobodys_rate(ways: Ways, settings: Any) -> None:
    """But once, when this process hears of its end."""
    settings.REDIS_URL = own_valkey()
    lost = accounts.issue_key(user=ways.rider.user, name="lost")
    assert ways.ask(new("noop"), authorization=f"Bearer {lost.secret}").status_code == 202
    accounts.revoke_key(key=lost.key)
    for _ in range(RATE - 4):
        assert hit(f"{RATE}/minute", "user", str(ways.rider.user.pk)) == 0
    for _ in range(5):
        assert ways.ask(new("noop"), authorization=f"Bearer {lost.secret}").status_code == 401
    assert ways.ask(new("noop")).status_code == 202


def test_it_costs_a_fraction(ways: Ways) -> None:
    """CPU of the web process for each of so many jobs, on either way."""
    web = psutil.Process(ways.web.pid)

    def cost(**headers: str) -> float:
        before = web.cpu_times()
        for _ in range(60):
            assert ways.ask(new("noop"), **headers).status_code == 202
        after = web.cpu_times()
        return float(after.user + after.system - before.user - before.system)

    cost()
    assert cost() < 0.5 * cost(**THERE)


def test_connections_that_have_died_are_replaced(ways: Ways) -> None:
    assert ways.ask(new("noop")).status_code == 202
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = %s",
            [SERVER],
        )
        assert cursor.fetchall(), "none of the server's has died"
    assert ways.ask(new("noop")).status_code == 202
    assert Job.objects.count() == 2


def test_a_busy_wallet(ways: Ways) -> None:
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=ways.rider.wallet)
        answer = ways.both(new("noop"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert not Job.objects.exists()
