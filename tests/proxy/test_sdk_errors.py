"""How often the official SDKs try, and what they don't try again. All statuses they can meet:
``test_sdk_statuses``; what they try again: ``test_sdk_retries``."""

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-sdks")
HELLO: Any = [{"role": "user", "content": "Hello"}]


def ask_openai(farebox: Farebox, key: str, model: str = "gpt-4o-mini", **more: Any) -> str:
    with openai.OpenAI(base_url=f"{farebox.url}/v1", api_key=key) as sdk:
        answer = sdk.chat.completions.create(model=model, messages=HELLO, **more)
        if not more.get("stream"):
            return answer.choices[0].message.content or ""
        return "".join(chunk.choices[0].delta.content or "" for chunk in answer)


def ask_anthropic(farebox: Farebox, key: str, model: str = "claude-haiku-4-5", **more: Any) -> str:
    request = {"model": model, "max_tokens": 500, "messages": HELLO} | more
    with anthropic.Anthropic(base_url=farebox.url, api_key=key) as sdk:
        if not more.pop("stream", False):
            return str(sdk.messages.create(**request).content[0].text)
        del request["stream"]
        with sdk.messages.stream(**request) as stream:
            return stream.get_final_text()


Ask = Callable[..., str]
ASKS: dict[str, tuple[Ask, Any, str]] = {
    "openai": (ask_openai, openai, "gpt-4o-mini"),
    "anthropic": (ask_anthropic, anthropic, "claude-haiku-4-5"),
}
each = pytest.mark.parametrize(("ask", "sdk", "model"), ASKS.values(), ids=ASKS)
STREAM = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


@each
def test_what_is_wrong_with_the_request_raises_its_own_class(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Ask, sdk: Any, model: str
) -> None:
    with pytest.raises(sdk.BadRequestError, match="max_tokens"):
        ask(farebox, rider.secret, max_tokens=10**9, stream=True)
    with pytest.raises(sdk.AuthenticationError):
        ask(farebox, "not-a-key")
    with pytest.raises(sdk.NotFoundError):
        ask(farebox, rider.secret, model="nothing-9")
    assert fake.requests == []
    rider.assert_untouched()


@each
def test_no_money_is_no_reason_to_try_again(
    farebox: Farebox, fake: FakeProviders, clean_books: bool, ask: Ask, sdk: Any, model: str
) -> None:
    poor = make_rider(credits=CREDIT // 1000)
    with pytest.raises(sdk.APIStatusError) as raised:
        ask(farebox, poor.secret)
    assert raised.value.status_code == 402
    assert fake.requests == []


@each
def test_after_three_times_the_sdk_gives_up_and_nothing_was_paid(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Ask, sdk: Any, model: str
) -> None:
    fake.script(Behaviour(status=500))
    with pytest.raises(sdk.InternalServerError):
        ask(farebox, rider.secret)
    assert len(fake.requests) == 3
    assert rider.spent == 0
    assert rider.month() == (0, 0, 0, 0)


@each
@STREAM
@pytest.mark.parametrize(
    "fault",
    [Fault.cut("status", how="reset"), Fault.cut("headers"), Fault.cut("status")],
    ids=["reset", "nothing after the headers", "closed"],
)
def test_what_the_provider_may_have_charged_is_not_tried_again(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    ask: Ask,
    sdk: Any,
    model: str,
    stream: bool,
    fault: Fault,
) -> None:
    fake.once(Behaviour(fault=fault))
    with pytest.raises(sdk.InternalServerError):
        ask(farebox, rider.secret, stream=stream)
    assert len(fake.requests) == 1
    assert rider.spent == 0


@each
@STREAM
def test_a_broken_answer_is_not_asked_for_again(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    ask: Ask,
    sdk: Any,
    model: str,
    stream: bool,
) -> None:
    fake.once(Behaviour(fault=Fault.cut(2, mid_event=True)))
    with pytest.raises(sdk.APIError):
        ask(farebox, rider.secret, stream=stream)
    assert len(fake.requests) == 1
    assert rider.only_call().status == (Call.Status.INTERRUPTED if stream else Call.Status.FAILED)


@each
def test_errors_carry_the_request_id(
    farebox: Farebox, fake: FakeProviders, rider: Rider, ask: Ask, sdk: Any, model: str
) -> None:
    fake.script(Behaviour(status=400))
    with pytest.raises(sdk.BadRequestError) as raised:
        ask(farebox, rider.secret)
    assert len(raised.value.request_id or "") == 36
