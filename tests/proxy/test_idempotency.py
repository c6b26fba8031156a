"""An Idempotency-Key over the real socket: the contract's answers, and SDKs that try again."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, post
from tests.proxy.riders import Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import Call, CallKey

pytestmark = pytest.mark.xdist_group("proxy-sdks")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)
OK = Behaviour(usage=Usage(input=100, output=10))
KEY = {"idempotency-key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


def error_of(dialect: Dialect, body: Any) -> tuple[str, str]:
    """(type, code) in OpenAI's protocol; in Anthropic's, which has no code, (type, "")."""
    return body["error"]["type"], body["error"].get("code", "")


IN_PROGRESS = {OPENAI: ("idempotency_error", "in_progress"), ANTHROPIC: ("conflict_error", "")}
COMPLETED = {OPENAI: ("idempotency_error", "completed"), ANTHROPIC: ("conflict_error", "")}
REUSED = {OPENAI: ("idempotency_error", "key_reused"), ANTHROPIC: ("invalid_request_error", "")}


@both
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_a_completed_call_is_answered_with_its_receipt(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, stream: bool
) -> None:
    fake.script(OK)
    first = dialect.ask(farebox, rider.secret, stream=stream, headers=KEY)
    assert first.status == 200
    second = dialect.ask(farebox, rider.secret, stream=stream, headers=KEY)

    assert second.status == 409
    assert error_of(dialect, second.json) == COMPLETED[dialect]
    assert second.headers["x-should-retry"] == "false"
    receipt = second.headers["x-farebox-call"]
    assert receipt == first.headers["x-farebox-call"] == str(rider.only_call().id)
    assert receipt in second.json["error"]["message"]
    assert len(fake.requests) == 1


@both
def test_an_open_call_is_worth_waiting_for(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    fake.script(Behaviour(events=200, delay=0.05, usage=Usage(input=100, output=200)))
    with streaming(farebox, rider, dialect) as call:
        second = dialect.ask(farebox, rider.secret, stream=True, headers=KEY)
        assert second.status == 409
        assert error_of(dialect, second.json) == IN_PROGRESS[dialect]
        assert second.headers["retry-after"] == "1"
        assert "x-should-retry" not in second.headers
    assert [str(one.id) for one in [rider.only_call()]] == [call]
    assert len(fake.requests) == 1


@both
def test_another_body_is_refused(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    assert dialect.ask(farebox, rider.secret, headers=KEY).status == 200
    second = dialect.ask(farebox, rider.secret, words="Good-bye", headers=KEY)

    assert second.status == 422
    assert error_of(dialect, second.json) == REUSED[dialect]
    assert second.headers["x-should-retry"] == "false"
    assert len(rider.calls()) == len(fake.requests) == 1


def test_another_address_is_another_request(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    assert OPENAI.ask(farebox, rider.secret, headers=KEY).status == 200
    second = ANTHROPIC.ask(farebox, rider.secret, headers=KEY)

    assert second.status == 422


def test_the_extensions_address_takes_keys_too(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    body = json.dumps(OPENAI.body() | {"settings": {"stream": False}}).encode()
    headers = {**OPENAI.headers(rider.secret), **KEY}
    first, second = (post(farebox, "/ai-proxy", body, headers) for _ in range(2))

    assert (first.status, second.status) == (200, 409)
    assert second.headers["x-farebox-call"] == first.headers["x-farebox-call"]
    assert len(fake.requests) == 1


def test_without_a_key_every_request_is_a_call(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    assert [OPENAI.ask(farebox, rider.secret).status for _ in range(2)] == [200, 200]
    assert not CallKey.objects.exists()


@both
def test_what_is_no_key_is_refused(refused: Callable[..., Any], dialect: Dialect) -> None:
    refused(dialect, 400, param="Idempotency-Key", headers={"idempotency-key": "x" * 256})


def test_somebody_elses_key_is_not_mine(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    other = make_rider("other@example.com")
    for somebody in (rider, other):
        assert OPENAI.ask(farebox, somebody.secret, headers=KEY).status == 200


@contextmanager
def streaming(farebox: Farebox, rider: Rider, dialect: Dialect) -> Iterator[str]:
    """A stream with the key that has begun, and ends with this; its call's id."""
    headers = {**dialect.headers(rider.secret), **KEY}
    body = json.dumps(dialect.body(stream=True)).encode()
    with (
        httpx.Client(trust_env=False) as client,
        client.stream(
            "POST", farebox.url + dialect.path, content=body, headers=headers
        ) as response,
    ):
        assert response.status_code == 200
        yield response.headers["x-farebox-call"]


def ask_openai(farebox: Farebox, key: str, **how: Any) -> str:
    with openai.OpenAI(base_url=f"{farebox.url}/v1", api_key=key, **how) as sdk:
        answer = sdk.chat.completions.create(
            model=OPENAI.model,
            messages=[{"role": "user", "content": "Hello"}],
            extra_headers={"Idempotency-Key": "the-same"},
        )
        return answer.choices[0].message.content or ""


def ask_anthropic(farebox: Farebox, key: str, **how: Any) -> str:
    with anthropic.Anthropic(base_url=farebox.url, api_key=key, **how) as sdk:
        answer = sdk.messages.create(
            model="claude-haiku-4-5",
            max_tokens=500,
            messages=[{"role": "user", "content": "Hello"}],
            extra_headers={"Idempotency-Key": "the-same"},
        )
        return str(answer.content[0].text)


each = pytest.mark.parametrize(
    ("ask", "sdk", "model"),
    [(ask_openai, openai, OPENAI.model), (ask_anthropic, anthropic, "claude-haiku-4-5")],
    ids=["openai", "anthropic"],
)


@each
def test_an_sdk_that_gave_up_waiting_does_not_pay_twice(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Any, sdk: Any, model: str
) -> None:
    """It leaves and tries again by itself, with the same key: it learns that it has been paid."""
    fake.script(Behaviour(plain_delay=1.5, usage=Usage(input=100, output=10)))
    with pytest.raises(sdk.ConflictError) as raised:
        ask(farebox, rider.secret, timeout=0.5)

    call = rider.only_call()
    assert raised.value.response.headers["x-farebox-call"] == str(call.id)
    assert call.status == Call.Status.CANCELED
    assert len(fake.requests) == 1
    assert rider.spent == call.spent > 0
    assert rider.month()[0] == 1


@each
def test_an_sdk_does_not_try_a_completed_call_again(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Any, sdk: Any, model: str
) -> None:
    fake.script(OK)
    assert ask(farebox, rider.secret) == "word " * 5
    with pytest.raises(sdk.ConflictError) as raised:
        ask(farebox, rider.secret)
    assert raised.value.request.headers["x-stainless-retry-count"] == "0"
    assert len(fake.requests) == 1
    assert rider.spent == microcredits(model, input=100, output=10)


@each
def test_an_sdks_other_request_with_the_key_raises_its_own_class(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Any, sdk: Any, model: str
) -> None:
    dialect = OPENAI if sdk is openai else ANTHROPIC
    first = dialect.ask(farebox, rider.secret, headers={"idempotency-key": "the-same"})
    assert first.status == 200
    with pytest.raises(sdk.UnprocessableEntityError) as raised:
        ask(farebox, rider.secret)
    assert raised.value.request.headers["x-stainless-retry-count"] == "0"
    assert len(fake.requests) == 1


@each
def test_a_failed_call_frees_its_key_for_the_sdks_next_try(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Any, sdk: Any, model: str
) -> None:
    fake.once(Behaviour(status=503, retry_after="1"), OK)
    assert ask(farebox, rider.secret) == "word " * 5
    assert [call.status for call in rider.calls()] == [Call.Status.FAILED, Call.Status.COMPLETED]
    assert rider.spent == microcredits(model, input=100, output=10)
    assert rider.month()[0] == 1
