"""What Prometheus reads: every call counted once, over all processes, and nothing of a client's.

One deployment of two web processes for all tests, which share its folder of metrics.
"""

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.db.models import Sum
from prometheus_client.parser import text_string_to_metric_families

from ledger.models import Hold
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.conftest import assert_all_settled, assert_log_clean, lasting, up_to_date
from tests.proxy.dialects import ANTHROPIC, OPENAI, post
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox, server_environment, wait_for
from tests.proxy.wire import Wire
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-metrics")
TOKEN = "metrics-token-0123456789"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]
CLAUDE = {"model": ANTHROPIC.model, "provider": "anthropic"}
GPT = {"model": OPENAI.model, "provider": "openai"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def watched_server(
    fake_providers: FakeProviders, database_url: str, folder: Path
) -> Iterator[Farebox]:
    environment = server_environment(
        fake_providers,
        database_url,
        METRICS_TOKEN=TOKEN,
        PROMETHEUS_MULTIPROC_DIR=str(folder / "values"),
        WEB_CONCURRENCY="2",
    )
    with lasting(Farebox(environment, folder / "server.log")) as farebox:
        yield farebox


@pytest.fixture
def farebox(watched_server: Farebox, fake: FakeProviders, clean_books: bool) -> Iterator[Farebox]:
    start = watched_server.log_size
    yield up_to_date(watched_server)
    assert_all_settled(fake)
    assert_log_clean(watched_server.log_text(start), fake)


@pytest.fixture
def grown(farebox: Farebox) -> Callable[..., float]:
    """By how much a metric has grown since the test began."""
    before = read(farebox)

    def grown(name: str, **labels: str) -> float:
        return value(read(farebox), name, **labels) - value(before, name, **labels)

    return grown


def scrape(farebox: Farebox, token: str = TOKEN, method: str = "GET") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.request(method, f"{farebox.url}/metrics", headers=headers, timeout=10)


def read(farebox: Farebox) -> Values:
    answer = scrape(farebox)
    assert answer.status_code == 200, answer.text
    found: Values = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            place = (sample.name, frozenset(sample.labels.items()))
            assert place not in found, f"told twice: {place}"
            found[place] = sample.value
    return found


def value(found: Values, name: str, **labels: str) -> float:
    return found.get((f"farebox_{name}", frozenset(labels.items())), 0.0)


def test_each_call_is_counted_once_with_its_tokens_and_its_money(
    farebox: Farebox, fake: FakeProviders, rider: Rider, grown: Callable[..., float]
) -> None:
    fake.script(Behaviour(usage=Usage(input=100, cached=40, output=30, reasoning=10)))
    for stream in (True, False, True):
        assert OPENAI.ask(farebox, rider.secret, stream=stream).status == 200
    fake.script(Behaviour(usage=Usage(input=50, cache_write_1h=20, output=7)))
    assert ANTHROPIC.ask(farebox, rider.secret, stream=True).status == 200
    calls = {"route": "chat", **GPT}
    wait_for(lambda: grown("calls_total", **calls, status="completed") == 3, 10, "calls counted")
    wait_for(
        lambda: grown("calls_total", route="messages", **CLAUDE, status="completed") == 1,
        10, "the call of Anthropic's counted",
    )  # fmt: skip
    for labels in (GPT, CLAUDE):
        rows = Call.objects.filter(**labels).aggregate(
            spent=Sum("spent"), cost=Sum("cost"), written_off=Sum("written_off"),
            all_input=Sum("input_tokens"), all_output=Sum("output_tokens"),
        )  # fmt: skip
        assert rows["spent"] > 0
        assert grown("captured_microcredits_total", **labels) == rows["spent"]
        assert grown("cost_microcredits_total", **labels) == rows["cost"]
        assert grown("written_off_microcredits_total", **labels) == 0
        fresh, cached, write, write_1h, output, reasoning = (
            grown("tokens_total", **labels, bucket=bucket)
            for bucket in (
                "input",
                "cache_read",
                "cache_write",
                "cache_write_1h",
                "output",
                "reasoning",
            )
        )
        assert fresh + cached + write + write_1h == rows["all_input"]
        assert output + reasoning == rows["all_output"]
    assert grown("tokens_total", **GPT, bucket="cache_read") == 3 * 40
    assert grown("tokens_total", **GPT, bucket="reasoning") == 3 * 10
    assert grown("tokens_total", **CLAUDE, bucket="cache_write_1h") == 20
    for name in ("call_seconds", "first_event_seconds"):
        assert grown(f"{name}_count", **calls) == 3
        assert grown(f"{name}_bucket", **calls, le="+Inf") == 3
        assert 0 < grown(f"{name}_sum", **calls) < 30
    assert grown("booking_seconds_count", step="begin") == 4
    assert grown("booking_seconds_count", step="finish") == 4
    assert grown("upstream_answers_total", provider="openai", key="environment") == 3


def test_refusals_and_faults_are_counted_by_what_they_are(
    farebox: Farebox, fake: FakeProviders, rider: Rider, grown: Callable[..., float]
) -> None:
    fake.once(Behaviour(status=500))
    assert OPENAI.ask(farebox, rider.secret).status == 502
    assert ANTHROPIC.ask(farebox, "fb_no-such-key").status == 401
    poor = make_rider("poor@example.com", credits=0)
    assert OPENAI.ask(farebox, poor.secret).status == 402
    name = "no-such-model-of-a-client"
    assert OPENAI.ask(farebox, rider.secret, model=name).status == 404
    assert post(farebox, "/v1/no-such-address", b"", {}).status == 404
    for labels in (
        {"route": "chat", "status": "502", "code": "upstream_error"},
        {"route": "messages", "status": "401", "code": "invalid_api_key"},
        {"route": "chat", "status": "402", "code": "insufficient_credits"},
        {"route": "chat", "status": "404", "code": "model_not_found"},
        {"route": "other", "status": "404", "code": "not_found"},
    ):
        wait_for(partial(is_one, grown, "refused_total", labels), 10, str(labels))
    openai = {"provider": "openai", "key": "environment"}
    assert grown("upstream_errors_total", **openai, kind="trouble") == 1
    assert grown("calls_total", route="chat", **GPT, status="failed") == 1
    told = scrape(farebox).text
    assert name not in told
    assert "no-such-address" not in told
    assert_tells_no_secret(told, fake, rider)


def test_what_is_open_is_told_by_process_and_by_the_books(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    fake.script(Behaviour(events=200, delay=0.05))
    seen: list[Values] = []
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, stream=True)
        wire.read_until(b"data: ")
        hold = Hold.objects.get(account=rider.wallet)
        wait_for(lambda: value(read(farebox), "open_calls", streamed="true") == 1, 10, "open call")
        # Each of the two processes reads the books for itself, every few seconds.
        wait_for(lambda: value(keep(seen, read(farebox)), "open_holds") == 1)
        found = seen[-1]
        assert value(found, "held_microcredits") == hold.amount
        assert 0 < value(found, "oldest_hold_seconds") < 30
        assert value(found, "overdue_holds") == 0
        assert (value(found, "database_up"), value(found, "valkey_up")) == (1, 1)
        wait_for(lambda: value(read(farebox), "web_processes") == 2, 30, "both tell of themselves")
        wire.reset()
    wait_for(lambda: value(read(farebox), "open_calls", streamed="true") == 0, 10, "none open")


def test_a_dead_process_takes_its_gauges_and_leaves_its_counts(
    farebox: Farebox, folder: Path, rider: Rider
) -> None:
    def counted() -> float:
        return value(read(farebox), "calls_total", route="chat", **GPT, status="completed")

    before = counted()
    for _ in range(4):
        assert OPENAI.ask(farebox, rider.secret).status == 200
    wait_for(lambda: counted() == before + 4, 10, "calls counted")
    victim = web_processes(farebox)[0]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in web_processes(farebox), 10, "it has ended")
    wait_for(lambda: len(web_processes(farebox)) == 2, 30, "another takes its place")
    wait_for(lambda: value(read(farebox), "web_processes") == 2, 30, "it tells of itself")
    assert counted() == before + 4
    gauges = [file.name for file in (folder / "values").glob("gauge_live*.db")]
    assert gauges
    assert not [name for name in gauges if name.endswith(f"_{victim}.db")]


@pytest.mark.parametrize("token", ["-", "wrong", TOKEN[:-1], TOKEN + "x", "ü"])
def test_who_has_no_token_reads_nothing(farebox: Farebox, token: str) -> None:
    answer = httpx.get(
        f"{farebox.url}/metrics", headers={"authorization": f"Bearer {token}".encode()}
    )
    assert answer.status_code == 401
    assert "farebox_" not in answer.text
    assert answer.json()["error"]["message"]
    assert TOKEN not in answer.text


def test_it_is_read_and_nothing_else(farebox: Farebox) -> None:
    assert scrape(farebox, method="POST").status_code == 405
    assert scrape(farebox, method="HEAD").status_code == 200
    # Prometheus asks by an address, which is none of ALLOWED_HOSTS.
    headers = {"authorization": f"Bearer {TOKEN}", "host": "10.0.0.7:8000"}
    answer = httpx.get(f"{farebox.url}/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


def keep(seen: list[Values], found: Values) -> Values:
    seen.append(found)
    return found


def is_one(grown: Callable[..., float], name: str, labels: dict[str, str]) -> bool:
    return grown(name, **labels) == 1


def web_processes(farebox: Farebox) -> list[int]:
    """The workers of the deployment; their parent serves nothing."""
    children: Any = psutil.Process(farebox.pid).children()
    return [
        child.pid
        for child in children
        if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
    ]


def assert_tells_no_secret(told: str, fake: FakeProviders, rider: Rider) -> None:
    for secret in (fake.openai_key, fake.anthropic_key, rider.secret, TOKEN, "rider@example.com"):
        assert secret not in told
