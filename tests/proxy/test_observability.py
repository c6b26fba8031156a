"""Logs, errors and traces tell of every call, and never what was said nor a key.

One web process and one worker, with everything switched on, and a collector that keeps what it is
sent. Prompt, answer and every key carry marks that are looked for in all of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from celery import Celery
from django.conf import settings
from django.db import connection

from tests.fakes.collector import Collector
from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.conftest import assert_all_settled, lasting, up_to_date
from tests.proxy.dialects import ANTHROPIC, OPENAI, post
from tests.proxy.riders import Rider
from tests.proxy.server import ROOT, SECRET_KEY, Farebox, server_environment, wait_for
from tests.proxy.wire import Wire
from tests.zygote import launch
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-observability")
PROMPT, ANSWER = "mark-of-the-prompt", "mark-of-the-answer"
HELLO = [{"role": "user", "content": PROMPT}]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# Every address that takes what somebody says.
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": OPENAI.model, "messages": HELLO},
    "/v1/responses": {"model": OPENAI.model, "input": PROMPT},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": PROMPT},
    "/v1/messages": {"model": ANTHROPIC.model, "messages": HELLO, "max_tokens": 100},
    "/v1/messages/count_tokens": {"model": ANTHROPIC.model, "messages": HELLO},
    "/ai-proxy": {"model": OPENAI.model, "messages": HELLO},
}
UNSTREAMED = {"/v1/embeddings", "/v1/messages/count_tokens"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def environment(
    fake_providers: FakeProviders, database_url: str, collector: Collector
) -> dict[str, str]:
    # A queue of its own: tasks of other tests are not this worker's.
    redis = urlsplit(settings.REDIS_URL)._replace(path="/7").geturl()
    return server_environment(
        fake_providers,
        database_url,
        REDIS_URL=redis,
        LOG_LEVEL="DEBUG",
        LOG_JSON="true",
        SENTRY_DSN=collector.dsn,
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="100",
    )


@pytest.fixture(scope="module")
def open_server(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farebox]:
    log = tmp_path_factory.mktemp("seen") / "server.log"
    with lasting(Farebox(environment, log)) as farebox:
        yield farebox


@pytest.fixture
def farebox(
    open_server: Farebox, fake: FakeProviders, collector: Collector, clean_books: bool
) -> Iterator[Farebox]:
    collector.clear()
    start = open_server.log_size
    yield up_to_date(open_server)
    assert_all_settled(fake)
    assert_untold(open_server.log_text(start), fake)
    assert_untold(collector.everything.decode(errors="replace"), fake)


def assert_untold(told: str, fake: FakeProviders) -> None:
    """Nothing of what was said, and no secret."""
    for mark in (PROMPT, ANSWER, fake.openai_key, fake.anthropic_key, SECRET_KEY):
        place = told.find(mark)
        assert place < 0, told[max(0, place - 500) : place + 200]
    assert "Bearer " not in told


def lines_of(farebox: Farebox, call: Call) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in farebox.log_text().splitlines() if str(call.id) in line]
    return [line for line in found if line.get("call") == str(call.id)]


@contextmanager
def broken(function: str) -> Iterator[None]:
    """A database in which a function is missing: a bug that nothing foresees."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid::regprocedure::text FROM pg_proc WHERE proname = %s", [function])
        ((whole,),) = cursor.fetchall()
        cursor.execute(f"ALTER FUNCTION {whole} RENAME TO not_there")
        try:
            yield
        finally:
            cursor.execute(f"ALTER FUNCTION {whole.replace(function, 'not_there')} RENAME TO "
                           f"{function}")  # fmt: skip


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_the_log_tells_of_each_call_and_of_nothing_that_was_said(
    farebox: Farebox, fake: FakeProviders, rider: Rider, stream: bool
) -> None:
    fake.script(Behaviour(text=ANSWER))
    for path, body in ASKED.items():
        body = {**body, "stream": True} if stream and path not in UNSTREAMED else body
        if path == "/ai-proxy":
            body = {**ASKED[path], "settings": {"stream": stream}}
        headers = {"authorization": f"Bearer {rider.secret}", "content-type": "application/json"}
        answer = post(farebox, path, json.dumps(body).encode(), headers)
        assert answer.status == 200, answer.body
        assert ANSWER in answer.body.decode() or path in UNSTREAMED
    calls = rider.calls()
    assert len(calls) == 5
    for call in calls:
        (line,) = (line for line in lines_of(farebox, call) if line["event"] == "call")
        assert line["level"] == "info"
        assert (line["request_id"], line["user"]) == (str(call.id), rider.user.pk)
        told = {name: line[name] for name in ("model", "provider", "status", "held", "spent")}
        assert told == {name: getattr(call, name) for name in told}
        assert line["route"] == call.protocol
        assert line["input_tokens"] == call.input_tokens
        assert line["output_tokens"] == call.output_tokens
        assert line["first_event_ms"] <= line["ms"] < 30_000


def test_no_trouble_makes_it_tell_more(
    farebox: Farebox, fake: FakeProviders, rider: Rider, collector: Collector
) -> None:
    said = f"You said {PROMPT} with {{key}}"
    ask = {"body": ASKED["/v1/chat/completions"] | {"stream": True}}
    troubles = (
        Behaviour(status=400, message=said),
        Behaviour(status=413, message=said),
        Behaviour(status=401, message=said),
        Behaviour(status=500, message=said),
        Behaviour(fault=Fault.error("headers", status=400, message=said)),
        Behaviour(text=ANSWER, fault=Fault.error(2, message=said)),
        Behaviour(text=ANSWER, fault=Fault.cut(2, how="reset")),
        Behaviour(text=ANSWER, fault=Fault.cut(2, mid_event=True)),
    )
    for trouble in troubles:
        fake.once(trouble)
        OPENAI.ask(farebox, rider.secret, **ask)
    wait_for(lambda: len(rider.calls()) == len(troubles), 10, "every call is recorded")
    for call in rider.calls():
        assert PROMPT not in call.error, "the receipt keeps what was said"
        for line in lines_of(farebox, call):
            assert (line["user"], line["request_id"]) == (rider.user.pk, str(call.id)), line
    for raw in (b'{"model": "' + PROMPT.encode(), b'{"model": "%s"}' % PROMPT.encode()):
        headers = {"authorization": f"Bearer {rider.secret}"}
        assert post(farebox, "/v1/chat/completions", raw, headers).status in {400, 404}
    fake.script(Behaviour(text=ANSWER, events=100, delay=0.05))
    with Wire(farebox) as wire:
        wire.ask(OPENAI, rider.secret, words=PROMPT, stream=True)
        wire.read_until(ANSWER.encode())
        wire.reset()
    wait_for(lambda: rider.calls()[-1].status == Call.Status.CANCELED, 10, "the leaving is noted")
    assert rider.secret not in farebox.log_text()


def test_a_bug_is_told_with_its_stack_and_without_its_values(
    farebox: Farebox, fake: FakeProviders, rider: Rider, collector: Collector
) -> None:
    with broken("usage_begin"):
        answer = OPENAI.ask(farebox, rider.secret, ASKED["/v1/chat/completions"])
    assert answer.status == 500
    wait_for(lambda: collector.events, 10, "Sentry hears of it")
    (event,) = collector.events
    (error,) = event["exception"]["values"][-1:]
    assert error["type"] == "UndefinedFunction"
    assert "usage_begin" in error["value"]
    frames = error["stacktrace"]["frames"]
    assert any(frame["module"] == "proxy.settle" for frame in frames)
    assert not any("vars" in frame for frame in frames)
    assert event["tags"]["request_id"] == answer.headers["x-request-id"]
    assert event["environment"] == "production"
    assert not {"request", "user", "breadcrumbs", "extra", "modules"} & set(event)
    (line,) = (
        json.loads(line)
        for line in farebox.log_text().splitlines()
        if answer.headers["x-request-id"] in line
    )
    assert (line["level"], line["event"]) == ("error", "unexpected")
    assert "Traceback" in line["exception"]
    assert rider.secret not in line["exception"]
    assert rider.secret.encode() not in collector.everything


def test_a_bug_in_a_page_is_told_by_its_route(
    farebox: Farebox, rider: Rider, collector: Collector
) -> None:
    headers = {"authorization": f"Bearer {rider.secret}", "cookie": f"c={PROMPT}"}
    with broken("usage_begin"):
        answer = httpx.post(
            f"{farebox.url}/api/quote?said={PROMPT}",
            headers=headers, json=ASKED["/v1/chat/completions"],
        )  # fmt: skip
    assert answer.status_code == 500
    wait_for(lambda: collector.events, 10, "Sentry hears of it")
    (event,) = collector.events
    assert event.get("transaction") == "api/quote"


def test_a_call_is_a_trace_with_its_three_steps(
    farebox: Farebox, fake: FakeProviders, rider: Rider, collector: Collector
) -> None:
    fake.script(Behaviour(text=ANSWER))
    answer = OPENAI.ask(
        farebox, rider.secret, {**ASKED["/v1/chat/completions"], "stream": True},
        headers={"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": f"x={PROMPT}"},
    )  # fmt: skip
    assert answer.status == 200
    call = rider.only_call()
    wait_for(lambda: len(collector.spans) >= 4, 10, "the spans arrive")
    spans = {span.name: span for span in collector.spans}
    whole = spans["call chat"]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, SPAN)
    told = {pair.key: pair.value for pair in whole.attributes}
    assert told["farebox.call"].string_value == str(call.id)
    assert told["gen_ai.request.model"].string_value == call.model
    assert told["gen_ai.usage.output_tokens"].int_value == call.output_tokens
    assert told["farebox.spent"].int_value == call.spent
    steps = [spans[name] for name in ("begin", "upstream", "finish")]
    assert all(step.parent_span_id == whole.span_id for step in steps)
    moments = [whole.start_time_unix_nano]
    for step in steps:
        moments += [step.start_time_unix_nano, step.end_time_unix_nano]
    moments.append(whole.end_time_unix_nano)
    # Spans of one call are put on the clock together: they follow on each other exactly.
    assert moments == sorted(moments)
    (first,) = spans["upstream"].events
    assert moments[3] <= first.time_unix_nano <= moments[4]
    # What the provider was sent names no trace.
    assert not {"traceparent", "tracestate"} & set(fake.requests[0].headers)


def test_a_page_is_a_trace_without_its_address(
    farebox: Farebox, rider: Rider, collector: Collector
) -> None:
    headers = {"authorization": f"Bearer {rider.secret}", "user-agent": PROMPT}
    answer = httpx.get(f"{farebox.url}/api/calls?cursor={PROMPT}", headers=headers)
    assert answer.status_code in {200, 400}
    assert httpx.get(f"{farebox.url}/healthz").status_code == 200
    wait_for(lambda: collector.spans, 10, "the span arrives")
    (span,) = collector.spans
    assert span.name == "GET api/calls"
    told = {pair.key for pair in span.attributes}
    assert told <= {"http.method", "http.route", "http.status_code"}
    assert "http.route" in told


def test_a_task_that_fails_is_told_too(
    farebox: Farebox,
    fake: FakeProviders,
    collector: Collector,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    log = tmp_path / "worker.log"
    worker = launch(
        "celery", "-A", "config", "-q", "worker", "--concurrency", "1", "--without-mingle",
        "--without-gossip", "--without-heartbeat",
        env={**environment, "C_FORCE_ROOT": "1"}, log=log,
    )  # fmt: skip
    try:
        with Celery(broker=environment["REDIS_URL"], set_as_current=False) as client:
            client.send_task("accounts.tasks.send_mail", [[PROMPT]])
            wait_for(lambda: collector.events, 60, "Sentry hears of it")
            wait_for(lambda: collector.spans, 10, "the span arrives")
    finally:
        worker.terminate()
        worker.wait(30)
    event = collector.events[0]
    assert event["transaction"] == "accounts.tasks.send_mail"
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert any(frame["module"] == "accounts.tasks" for frame in frames)
    assert not any("vars" in frame for frame in frames)
    (span,) = (span for span in collector.spans if span.name == "run/accounts.tasks.send_mail")
    assert span.status.code == 2  # an error
    assert not span.status.message
    assert_untold(log.read_text(), fake)


def test_switched_off_they_are_not_even_imported() -> None:
    code = (
        "import sys, config.asgi, config.celery\n"
        "off = ('sentry_sdk', 'opentelemetry.exporter', 'opentelemetry.instrumentation')\n"
        "print([name for name in sys.modules if name.startswith(off)])"
    )
    off = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SENTRY_", "OTEL_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=off, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
