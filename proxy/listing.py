"""``GET /v1/models``, in either protocol's shape."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg_pool import PoolTimeout

from proxy import credentials, responses, settle
from proxy.context import Context
from proxy.responses import Send
from usage.callers import caller
from usage.catalog import PricedModel


def protocol_of(headers: Mapping[bytes, bytes]) -> str:
    """Anthropic's clients name a version of their protocol; OpenAI's don't."""
    return "anthropic" if b"anthropic-version" in headers else "openai"


async def answer(
    context: Context, headers: Mapping[bytes, bytes], protocol: str, request_id: str, send: Send
) -> None:
    """The models this caller's plan includes that answer in the protocol asked in."""
    credential = credentials.read(headers)
    try:
        async with context.pool.connection() as conn:
            who = await caller.aio(conn, credential=credential)
    except (psycopg.OperationalError, PoolTimeout):
        raise settle.unavailable() from None
    catalog = await context.ready()
    found = [model for model in catalog.speaking(protocol) if who.may_call(model.name)]
    shape = _anthropic(found) if protocol == "anthropic" else _openai(found)
    ids = responses.ids(protocol, request_id)
    await responses.whole(send, 200, orjson.dumps(shape), ids)


def _openai(models: list[PricedModel]) -> dict[str, Any]:
    return {
        "object": "list",
        "data": [
            {"id": m.name, "object": "model", "created": m.created, "owned_by": m.provider}
            for m in models
        ],
    }


def _anthropic(models: list[PricedModel]) -> dict[str, Any]:
    data = [
        {
            "type": "model",
            "id": m.name,
            "display_name": m.name,
            "created_at": datetime.fromtimestamp(m.created, UTC).isoformat(),
        }
        for m in models
    ]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}
