"""Who may not call, and what can't be called: the contract's error, and nothing held or asked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.keys import new_key
from accounts.models import ApiKey
from billing.entitlements import assign_plan
from billing.models import Entitlement, Plan
from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, Reply
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox
from usage.models import AIModel

pytestmark = pytest.mark.xdist_group("proxy-input")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)


# --- Models -----------------------------------------------------------------------------------


UNKNOWN = (
    "gpt-99", " ", "gpt-4o-mini ", "../gpt-4o", "x" * 500_000, "gpt-4o-mini\u0000", "whisper-1",
    "ft:gpt-4o-mini:x", "gpt-4o-realtime-preview", "demo", "http://127.0.0.1/gpt-4o",
)  # fmt: skip


@both
def test_an_unknown_model(refused: Callable[..., Reply], dialect: Dialect) -> None:
    for model in UNKNOWN:
        reply = refused(dialect, 404, body=dialect.body() | {"model": model})
        assert len(reply.body) < 1_000


@both
def test_a_model_of_the_other_protocol(refused: Callable[..., Reply], dialect: Dialect) -> None:
    other = ANTHROPIC if dialect is OPENAI else OPENAI
    reply = refused(dialect, 404, body=dialect.body() | {"model": other.model})
    assert other.path in reply.json["error"]["message"]


@both
def test_a_model_without_a_price(refused: Callable[..., Reply], dialect: Dialect) -> None:
    AIModel.objects.create(name="priceless", provider=dialect.name, protocol=dialect.name)
    try:
        refused(dialect, 404, body=dialect.body() | {"model": "priceless"})
    finally:
        AIModel.objects.get(name="priceless").delete()


# --- Keys -------------------------------------------------------------------------------------


MALFORMED = (
    "fb_short", "nonsense", "fb_" + "a" * 46, new_key()[:-1], new_key() + "a", new_key().upper(),
    "sk-" + "a" * 46, new_key().replace("fb_", "fx_"), "fb_" + "é" * 46, "x" * 10_000,
)  # fmt: skip


@both
def test_a_malformed_key(refused: Callable[..., Reply], dialect: Dialect) -> None:
    for key in MALFORMED:
        value = dialect.headers(key)[dialect.key_header].encode("latin-1")
        reply = refused(dialect, 401, key="x", headers={dialect.key_header: value})
        assert reply.headers["www-authenticate"] == "Bearer"
        assert key not in reply.everything()


@both
def test_no_key(refused: Callable[..., Reply], dialect: Dialect) -> None:
    refused(dialect, 401, headers={dialect.key_header: ""})


@both
def test_an_unknown_key(refused: Callable[..., Reply], dialect: Dialect) -> None:
    refused(dialect, 401, key=new_key())


@both
@pytest.mark.parametrize("change", ["revoked_at", "expires_at"])
def test_a_revoked_or_expired_key(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect, change: str
) -> None:
    past = timezone.now() - timedelta(seconds=1)
    ApiKey.objects.filter(user=rider.user).update(**{change: past})
    refused(dialect, 401)


@both
def test_a_key_of_somebody_who_was_shut_out(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect
) -> None:
    rider.user.is_active = False
    rider.user.save()
    refused(dialect, 401)


@both
def test_a_key_without_the_scope(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect
) -> None:
    ApiKey.objects.filter(user=rider.user).update(scopes=["read"])
    refused(dialect, 403)


# --- Plans and money --------------------------------------------------------------------------


@both
@pytest.mark.parametrize("status", ["canceled", "inactive"])
def test_a_plan_that_ended(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect, status: str
) -> None:
    pro = Plan.objects.get(slug="pro")
    assign_plan(user=rider.user, plan=pro, status=Entitlement.Status(status))
    refused(dialect, 403)


@both
def test_a_model_outside_the_plan(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect
) -> None:
    Plan.objects.filter(slug="internal").update(allowed_models=["gpt-4o"])
    refused(dialect, 403)


@both
def test_more_output_than_the_plan_allows(
    refused: Callable[..., Reply], rider: Rider, dialect: Dialect
) -> None:
    Plan.objects.filter(slug="internal").update(max_output_tokens=500)
    reply = refused(dialect, 400, max_tokens=501)
    assert "500" in reply.json["error"]["message"]


@both
def test_an_empty_wallet(
    farebox: Farebox, fake: FakeProviders, dialect: Dialect, clean_books: bool
) -> None:
    poor = make_rider(credits=0)
    reply = dialect.ask(farebox, poor.secret)
    message = dialect.assert_refused(reply, 402)
    assert "0.000000" in message, "what is there"
    assert "http://127.0.0.1:8000" in message, "where to top up"
    assert reply.headers["x-should-retry"] == "false"
    poor.assert_untouched()
    assert fake.requests == []


@both
def test_a_wallet_that_is_too_light_says_what_it_can_carry(
    farebox: Farebox, fake: FakeProviders, dialect: Dialect, clean_books: bool
) -> None:
    poor = make_rider(credits=CREDIT // 20)
    message = dialect.assert_refused(dialect.ask(farebox, poor.secret, max_tokens=16_000), 402)
    affordable = int(message.split("max_tokens=")[1].split(".")[0])
    poor.assert_untouched()
    assert dialect.ask(farebox, poor.secret, max_tokens=affordable + 1).status == 402
    poor.assert_untouched()
    assert dialect.ask(farebox, poor.secret, max_tokens=affordable).status == 200
    assert poor.only_call().held <= CREDIT // 20


def test_without_a_limit_the_output_is_clamped_to_the_wallet(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    poor = make_rider(credits=CREDIT // 20)
    assert OPENAI.ask(farebox, poor.secret).status == 200
    limit = fake.requests[0].json["max_completion_tokens"]
    assert 16 <= limit < 16_384
    call = poor.only_call()
    # What the clamp leaves of the wallet would not have carried one token more (6 microcredits).
    assert CREDIT // 20 - 6 < call.held <= CREDIT // 20


def test_a_wallet_below_the_floor_is_refused(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    poor = make_rider(credits=1_500)  # the input alone takes about 1,600
    OPENAI.assert_refused(OPENAI.ask(farebox, poor.secret), 402)
    poor.assert_untouched()
    assert fake.requests == []


def test_too_many_open_calls_and_too_many_a_minute(
    farebox: Farebox, fake: FakeProviders, clean_books: bool
) -> None:
    rider = make_rider(plan="free")
    Plan.objects.filter(slug="free").update(requests_per_minute=2)
    statuses = [OPENAI.ask(farebox, rider.secret).status for _ in range(2)]
    assert statuses == [200, 200]
    reply = OPENAI.ask(farebox, rider.secret)
    OPENAI.assert_refused(reply, 429)
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert len(rider.calls()) == len(fake.requests) == 2
