"""Every route as the official SDKs' async clients ask it, all of them at once, each with a model of
its own, so that the waits of one are the waits of all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.fakes.providers import FakeProviders
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from usage.models import Call

HELLO: Any = [{"role": "user", "content": "Hello"}]
Sdk = Any  # openai.AsyncOpenAI or anthropic.AsyncAnthropic


@dataclass(frozen=True)
class Route:
    """One address of the proxy as its SDK asks it. ``streams``: it can; ``paid``: it costs."""

    of: Any  # the SDK's module
    model: str
    ask: Callable[[Sdk], Callable[..., Awaitable[Any]]]
    usual: Mapping[str, Any]
    streams: bool = True
    paid: bool = True

    async def __call__(self, sdk: Sdk, **more: Any) -> Any:
        """One answer; a stream is read to its end."""
        answer = await self.ask(sdk)(**{"model": self.model, **self.usual, **more})
        if more.get("stream"):
            return [event async for event in answer]
        return answer

    def client(self, url: str, key: str, **options: Any) -> Sdk:
        if self.of is openai:
            return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, **options)
        return anthropic.AsyncAnthropic(base_url=url, api_key=key, **options)


ROUTES = {
    "chat": Route(
        openai, "gpt-4o-mini", lambda sdk: sdk.chat.completions.create, {"messages": HELLO}
    ),
    "responses": Route(
        openai, "gpt-4.1-mini", lambda sdk: sdk.responses.create, {"input": "Hello"}
    ),
    "embeddings": Route(
        openai, "text-embedding-3-small", lambda sdk: sdk.embeddings.create,
        {"input": "Hello " * 9, "encoding_format": "float"}, streams=False,
    ),
    "messages": Route(
        anthropic, "claude-haiku-4-5", lambda sdk: sdk.messages.create,
        {"messages": HELLO, "max_tokens": 500},
    ),
    "count_tokens": Route(
        anthropic, "claude-opus-4-1", lambda sdk: sdk.messages.count_tokens, {"messages": HELLO},
        streams=False, paid=False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def warm(fake_providers: FakeProviders) -> None:
    """Ask the provider itself once by every route: what SDKs make of their types for a first
    answer takes seconds, in which another's request would stall and be refused for it."""

    async def main() -> None:
        for route in ROUTES.values():
            of_openai = route.of is openai
            key = fake_providers.openai_key if of_openai else fake_providers.anthropic_key
            async with route.client(fake_providers.anthropic_base_url, key) as sdk:
                await route(sdk)
                if route.streams:
                    await route(sdk, stream=True)

    asyncio.run(main())
    fake_providers.reset()


async def met(sdk: Sdk, route: Route, **more: Any) -> Any:
    """The exception that a call raises, as its SDK shows it."""
    try:
        await route(sdk, **more)
    except route.of.APIStatusError as error:
        said: tuple[Any, ...] = (error.type,)
        if route.of is openai:
            said = (error.type, error.code, error.param)
        if len(error.request_id or "") != 36:
            said = (*said, "no request id")
        return type(error).__name__, error.status_code, said
    return "no exception"


def at_once(
    routes: Iterable[Route],
    farebox: Farebox,
    rider: Rider,
    work: Callable[[Route, Sdk], Awaitable[Any]],
    **options: Any,
) -> list[Any]:
    """Do the same over each route at the same time."""

    async def main() -> list[Any]:
        sdks = [(route, route.client(farebox.url, rider.secret, **options)) for route in routes]
        try:
            return await asyncio.gather(*(work(route, sdk) for route, sdk in sdks))
        finally:
            for _, sdk in sdks:
                await sdk.close()

    return asyncio.run(main())


def assert_paid_for_what_the_provider_charged(
    rider: Rider, fake: FakeProviders, whole: Mapping[str, int]
) -> None:
    """So many whole calls of each model: receipts, transfers and the provider's register agree."""
    completed = [call for call in rider.calls() if call.status == Call.Status.COMPLETED]
    asked = [served for served in fake.requests if served.status == 200 and served.finished
             and served.path != "/v1/messages/count_tokens"]  # fmt: skip
    for model, times in whole.items():
        mine = [call for call in completed if call.model == model]
        charged = [served for served in asked if served.model == model]
        assert len(mine) == len(charged) == times, model
        assert [(call.input_tokens, call.output_tokens) for call in mine] == [
            (served.input_tokens, served.output_tokens) for served in charged
        ], model
    assert len(completed) == len(asked) == sum(whole.values())
    taken = {transfer.key: transfer.amount for transfer in rider.captures()}
    assert taken == {f"call:{call.pk}": call.spent for call in completed}
    assert rider.spent == sum(taken.values()) > 0
    assert rider.month()[0] == len(completed)
