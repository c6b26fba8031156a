"""Each status raises the exception that the official SDK has for it, over every route."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from billing.models import Plan
from tests.fakes.providers import Behaviour, FakeProviders
from tests.proxy.riders import Rider, make_rider
from tests.proxy.sdk_routes import (
    HELLO,
    ROUTES,
    Route,
    Sdk,
    assert_paid_for_what_the_provider_charged,
    at_once,
    met,
    warm,
)
from tests.proxy.server import Farebox

__all__ = ["warm"]
pytestmark = pytest.mark.xdist_group("proxy-sdks")

# What a status raises, and what the error then says of itself: in OpenAI's SDK its type, code and
# param, in Anthropic's, whose errors have no code, its type.
OPENAI: dict[int, tuple[str, int, tuple[Any, ...]]] = {
    400: ("BadRequestError", 400, ("invalid_request_error", "bad_request", None)),
    401: ("AuthenticationError", 401, ("invalid_request_error", "invalid_api_key", None)),
    402: ("APIStatusError", 402, ("insufficient_quota", "insufficient_credits", None)),
    403: ("PermissionDeniedError", 403, ("invalid_request_error", "permission_denied", "model")),
    404: ("NotFoundError", 404, ("invalid_request_error", "model_not_found", "model")),
    409: ("ConflictError", 409, ("idempotency_error", "completed", "Idempotency-Key")),
    413: ("APIStatusError", 413, ("invalid_request_error", "request_too_large", None)),
    422: (
        "UnprocessableEntityError", 422, ("idempotency_error", "key_reused", "Idempotency-Key"),
    ),
    429: ("RateLimitError", 429, ("rate_limit_error", "rate_limit_exceeded", None)),
    500: ("InternalServerError", 502, ("server_error", "upstream_error", None)),
    502: ("InternalServerError", 502, ("server_error", "upstream_error", None)),
    503: ("InternalServerError", 503, ("server_error", "unavailable", None)),
    504: ("InternalServerError", 504, ("server_error", "upstream_timeout", None)),
    529: ("InternalServerError", 503, ("server_error", "unavailable", None)),
}  # fmt: skip
ANTHROPIC: dict[int, tuple[str, int, tuple[Any, ...]]] = {
    400: ("BadRequestError", 400, ("invalid_request_error",)),
    401: ("AuthenticationError", 401, ("authentication_error",)),
    402: ("PaymentRequiredError", 402, ("billing_error",)),
    403: ("PermissionDeniedError", 403, ("permission_error",)),
    404: ("NotFoundError", 404, ("not_found_error",)),
    409: ("ConflictError", 409, ("conflict_error",)),
    413: ("ContentTooLargeError", 413, ("request_too_large",)),
    422: ("UnprocessableEntityError", 422, ("invalid_request_error",)),
    429: ("RateLimitError", 429, ("rate_limit_error",)),
    500: ("InternalServerError", 502, ("api_error",)),
    502: ("InternalServerError", 502, ("api_error",)),
    503: ("OverloadedError", 529, ("overloaded_error",)),
    504: ("GatewayTimeoutError", 504, ("timeout_error",)),
    529: ("OverloadedError", 529, ("overloaded_error",)),
}
FREE = {402, 409, 422}  # what a call that costs nothing can't meet

# What the provider does to bring about each status that is its own, or is told as its own.
PROVIDERS = {
    400: Behaviour(status=400),
    429: Behaviour(status=429, retry_after="1"),
    500: Behaviour(status=500),
    502: Behaviour(status=502, html=True),
    503: Behaviour(status=503),
    504: Behaviour(first_delay=30, plain_delay=30),
    529: Behaviour(status=529),
}


@dataclass(frozen=True)
class Callers:
    """Who asks: the only one with money and rights, somebody poor, and somebody on a plan with
    other models."""

    rider: Rider
    poor: Rider
    elsewhere: Rider


@pytest.fixture
def callers(rider: Rider) -> Callers:
    Plan.objects.create(slug="narrow", name="Narrow", allowed_models=["gpt-4o"])
    return Callers(
        rider,
        make_rider("poor@example.com", credits=1),
        make_rider("elsewhere@example.com", plan="narrow"),
    )


async def statuses_of(
    fake: FakeProviders, callers: Callers, route: Route, sdk: Sdk, stream: Mapping[str, Any]
) -> dict[int, Any]:
    """What each status raises over one route."""
    elsewhere = sdk.with_options(api_key=callers.elsewhere.secret)
    found = {
        401: await met(sdk.with_options(api_key="nobody's"), route, **stream),
        403: await met(elsewhere, route, **stream),
        404: await met(sdk, route, model="nothing-9", **stream),
        413: await met(sdk, route, extra_body={"pad": "x" * 2**20}, **stream),
    }
    if route.paid:
        poor = sdk.with_options(api_key=callers.poor.secret)
        found[402] = await met(poor, route, **stream)
        again = {"extra_headers": {"Idempotency-Key": f"of {route.model}"}, **stream}
        assert await met(sdk, route, **again) == "no exception"
        found[409] = await met(sdk, route, **again)
        found[422] = await met(sdk, route, extra_body={"user": "another"}, **again)
    for status, behaviour in PROVIDERS.items():
        fake.once(behaviour, model=route.model)
        found[status] = await met(sdk, route, **stream)
    return found


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
def test_each_status_raises_its_exception(
    farebox: Farebox, fake: FakeProviders, callers: Callers, stream: bool
) -> None:
    routes = {name: route for name, route in ROUTES.items() if route.streams or not stream}
    more = {"stream": True} if stream else {}

    async def one(route: Route, sdk: Sdk) -> dict[int, Any]:
        return await statuses_of(fake, callers, route, sdk, more)

    tables = at_once(routes.values(), farebox, callers.rider, one, max_retries=0)
    found = dict(zip(routes, tables, strict=True))
    for name, route in routes.items():
        table = OPENAI if route.of is openai else ANTHROPIC
        expected = {s: told for s, told in table.items() if route.paid or s not in FREE}
        assert found[name] == expected, name
    # Nothing was paid but the one whole call of each route that 409 and 422 need.
    whole = {route.model for route in routes.values() if route.paid}
    assert_paid_for_what_the_provider_charged(callers.rider, fake, dict.fromkeys(whole, 1))
    for other in (callers.poor, callers.elsewhere):
        assert (other.spent, other.held, other.calls()) == (0, 0, [])


def test_models_are_listed_and_told_by_the_async_clients(farebox: Farebox, rider: Rider) -> None:
    async def both() -> None:
        async with ROUTES["chat"].client(farebox.url, rider.secret) as sdk:
            listed = [model async for model in sdk.models.list()]
            assert await sdk.models.retrieve("gpt-4o-mini") in listed
            with pytest.raises(openai.NotFoundError) as raised:
                await sdk.models.retrieve("nothing-9")
            assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
        async with ROUTES["messages"].client(farebox.url, rider.secret) as sdk:
            names = [model.id async for model in sdk.models.list()]
            assert (await sdk.models.retrieve("claude-haiku-4-5")).id in names
            with pytest.raises(anthropic.NotFoundError):
                await sdk.models.retrieve("nothing-9")

    asyncio.run(both())
    rider.assert_untouched()


def test_a_key_in_either_header_serves_either_sdk(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    """Anthropic's SDK sends ``auth_token`` as a bearer's, which is how an access token comes."""
    with anthropic.Anthropic(base_url=farebox.url, auth_token=rider.secret) as sdk:
        counted = sdk.messages.count_tokens(model="claude-haiku-4-5", messages=HELLO)
    assert counted.input_tokens == 10
    assert json.loads(fake.requests[0].body)["model"] == "claude-haiku-4-5"
