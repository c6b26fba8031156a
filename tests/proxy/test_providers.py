"""Which way a call takes: routes in order, keys by weight, what is open passed by."""

from collections import Counter
from collections.abc import Callable

import pytest

from common.errors import ModelNotFound
from proxy.breaker import Fault
from proxy.providers import Attempt, Choice, Providers
from usage.catalog import PricedModel, Route
from usage.prices import Rates
from usage.providers import Configured, Key

RATES = Rates({})


def model(*routes: Route) -> PricedModel:
    return PricedModel("mini", routes[0].provider, "openai", None, None, 0, 1, RATES, RATES, routes)


def provider(name: str, *keys: Key, kind: str = "openai") -> Configured:
    address = f"https://{name}.example/v1"
    return Configured(name, kind, address, False, "max_completion_tokens", True, keys)


def key(number: int, weight: int = 1, secret: str = "s") -> Key:
    return Key(number, f"k{number}", weight, secret)


FIRST = provider("first", key(1, 3), key(2, 1))
SECOND = provider("second", key(3))
BOTH = model(Route("first"), Route("second", "mini-there"))


@pytest.fixture
def providers() -> Providers:
    known = Providers()
    known.refresh([FIRST, SECOND])
    return known


@pytest.fixture
def choice(providers: Providers) -> Callable[..., Choice]:
    return lambda most=9, asked=BOTH: providers.choice(asked, "openai", most)


def label(attempt: Attempt | None) -> str:
    assert attempt is not None
    return attempt.way.breakers[1].name


def test_keys_are_taken_by_weight(choice: Callable[..., Choice]) -> None:
    taken = Counter(label(choice().next()) for _ in range(4_000))
    assert set(taken) == {"first/k1", "first/k2"}
    assert 2_800 < taken["first/k1"] < 3_200  # 3 of 4; five standard deviations are 137


def test_each_key_once_then_the_next_provider(choice: Callable[..., Choice]) -> None:
    ways = choice()
    tried = [label(ways.next()) for _ in range(3)]
    assert sorted(tried[:2]) == ["first/k1", "first/k2"]
    assert tried[2] == "second/k3"
    assert ways.next() is None


def test_no_more_than_so_many(choice: Callable[..., Choice]) -> None:
    ways = choice(2)
    assert [ways.next() is None for _ in range(3)] == [False, False, True]


def test_what_is_open_is_passed_by(choice: Callable[..., Choice]) -> None:
    for _ in range(2):
        attempt = choice().next()
        attempt.failed(Fault.REFUSED)
    assert {label(choice().next()) for _ in range(20)} == {"second/k3"}


def test_with_all_open_the_one_that_waits_the_shortest_is_asked(
    choice: Callable[..., Choice],
) -> None:
    ways = choice()
    for seconds in (50, 40, 30):
        attempt = ways.next()
        attempt.failed(Fault.LIMITED, seconds)
    assert ways.retry_after() == 30
    ways = choice()
    assert label(ways.next()) == "second/k3"
    assert ways.next() is None, "once"


def test_a_limit_is_one_models_and_a_refusal_the_keys(choice: Callable[..., Choice]) -> None:
    other = PricedModel(
        "other", "second", "openai", None, None, 0, 1, RATES, RATES,
        (Route("second"), Route("first")),
    )  # fmt: skip
    choice(asked=other).next().failed(Fault.LIMITED)
    assert label(choice(asked=other).next()).startswith("first/")
    lone = model(Route("second"), Route("first"))
    assert label(choice(asked=lone).next()) == "second/k3", "this model is not limited"
    choice(asked=lone).next().failed(Fault.REFUSED)
    assert label(choice(asked=lone).next()).startswith("first/")


def test_an_address_that_is_away_is_asked_once(choice: Callable[..., Choice]) -> None:
    ways = choice()
    attempt = ways.next()
    attempt.failed(Fault.UNREACHABLE)
    ways.unreachable(attempt)
    assert label(ways.next()) == "second/k3", "its other key is not tried"
    assert {label(choice().next()) for _ in range(20)} == {"second/k3"}


def test_a_success_at_the_key_is_one_of_its_address(
    providers: Providers, choice: Callable[..., Choice]
) -> None:
    choice().next().failed(Fault.UNREACHABLE)
    assert providers.states()["first"] == "open"
    lone = model(Route("first"))
    choice(asked=lone).next().failed(Fault.LIMITED)  # the last resort: it answers again
    assert providers.states()["first"] == "closed"


def test_what_stays_keeps_its_breaker_and_a_new_secret_starts_anew(
    providers: Providers, choice: Callable[..., Choice]
) -> None:
    lone = model(Route("second"), Route("first"))
    choice(asked=lone).next().failed(Fault.REFUSED)
    providers.refresh([FIRST, SECOND])
    assert label(choice(asked=lone).next()).startswith("first/")
    providers.refresh([FIRST, provider("second", key(3, secret="other"))])
    assert label(choice(asked=lone).next()) == "second/k3"
    assert sum(name == "second/k3" for name in providers.states()) == 1


def test_who_speaks_another_protocol_is_not_asked(providers: Providers) -> None:
    providers.refresh([provider("first", key(1), kind="anthropic"), SECOND])
    ways = providers.choice(BOTH, "openai", 9)
    assert label(ways.next()) == "second/k3"
    assert ways.next() is None
    with pytest.raises(ModelNotFound):
        providers.choice(model(Route("first")), "openai", 9)


def test_secrets_are_not_shown(providers: Providers, choice: Callable[..., Choice]) -> None:
    providers.refresh([provider("first", key(1, secret="sk-very-secret"))])
    assert "sk-very-secret" not in repr([choice().next().way, FIRST, key(1, 1, "sk-very-secret")])
