"""``GET /v1/models`` and ``GET /v1/models/<id>``, in either protocol's shape."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from common.errors import ModelNotFound
from proxy import responses
from proxy.callers import caller_of
from proxy.context import Context
from proxy.responses import Send
from usage.catalog import PricedModel


def protocol_of(headers: Mapping[bytes, bytes]) -> str:
    """Anthropic's clients name a version of their protocol; OpenAI's don't."""
    return "anthropic" if b"anthropic-version" in headers else "openai"


async def answer(
    context: Context,
    headers: Mapping[bytes, bytes],
    protocol: str,
    name: str,
    request_id: str,
    send: Send,
) -> None:
    """The models this caller's plan includes that answer in the protocol asked in; with a ``name``
    that one, by its own name where a dated or alternative one was given.

    Raises ``ModelNotFound`` for a model that the list does not have.
    """
    who = await caller_of(context, headers)
    catalog = await context.ready()
    if name:
        model = catalog.find(name, protocol)
        if not who.may_call(model.name):
            raise ModelNotFound(f"Your plan does not include {model.name!r}.", param="model")
        shape = _anthropic(model) if protocol == "anthropic" else _openai(model)
    else:
        found = [model for model in catalog.speaking(protocol) if who.may_call(model.name)]
        shape = _anthropic_list(found) if protocol == "anthropic" else _openai_list(found)
    ids = responses.ids(protocol, request_id)
    await responses.whole(send, 200, orjson.dumps(shape), ids)


def _openai_list(models: list[PricedModel]) -> dict[str, Any]:
    return {"object": "list", "data": [_openai(model) for model in models]}


def _openai(model: PricedModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.provider,
    }


def _anthropic_list(models: list[PricedModel]) -> dict[str, Any]:
    data = [_anthropic(model) for model in models]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def _anthropic(model: PricedModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(model.created, UTC).isoformat(),
    }
