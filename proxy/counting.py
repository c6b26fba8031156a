"""``POST /v1/messages/count_tokens``: how many input tokens a message would have. Free.

Nothing is held and no call is recorded. Anthropic is asked where the model is its; for any other
the count is our estimate, by the bytes per token that completed calls have shown. Since it costs
nothing it is limited by itself, per user and process.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from common.errors import (
    PermissionRefused,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from proxy import answers, responses
from proxy.callers import caller_of
from proxy.context import Context
from proxy.protocols import MESSAGES
from proxy.protocols.messages import measured
from proxy.request import load, name_of
from proxy.responses import Receive, Send
from proxy.upstream import Provider, read_bounded, read_error
from usage.catalog import PricedModel

PATH = "/v1/messages/count_tokens"
_LARGEST_ANSWER = 64 * 1024
# What a model of ours would answer with, and nothing a count depends on.
_NOT_COUNTED = (
    "max_tokens",
    "stream",
    "metadata",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
)


@dataclass
class _Asked:
    """Stands for a call where the HTTP client notes that a request was sent."""

    sent: bool = False


async def answer(
    context: Context,
    headers: Mapping[bytes, bytes],
    receive: Receive,
    request_id: str,
    send: Send,
) -> None:
    """Answers ``{"input_tokens": …}``; an estimate carries ``x-farebox-estimated: true``."""
    who = await caller_of(context, headers)
    if waiting := context.counting.take(str(who.user)):
        raise RateLimited("Too many counts of tokens; try again later.", retry_after=waiting)
    body = load(await responses.read_body(receive, headers))
    catalog = await context.ready()
    model = catalog.find(name_of(body), MESSAGES.name)
    if not who.may_call(model.name):
        raise PermissionRefused("Your plan does not include this model.", param="model")
    MESSAGES.check(body)
    for name in _NOT_COUNTED:
        body.pop(name, None)
    found, ids = await _count(context, model, body, headers), responses.ids("anthropic", request_id)
    if found is None:
        found = _estimate(context, model, body)
        ids.append((b"x-farebox-estimated", b"true"))
    await responses.whole(send, 200, orjson.dumps({"input_tokens": found}), ids)


async def _count(
    context: Context,
    model: PricedModel,
    body: dict[str, Any],
    headers: Mapping[bytes, bytes],
) -> int | None:
    """The count of the model's first provider; ``None`` where that can't count.

    Raises what the provider's refusal means, ``UpstreamError`` and ``UpstreamTimeout``.
    """
    attempt = context.providers.choice(model, MESSAGES.name, 1).next()
    if attempt is None:
        return None
    try:
        way = attempt.way
        if way.provider.kind != MESSAGES.name:
            return None
        renamed = {**body, "model": way.upstream_name} if way.upstream_name else body
        return await _ask(context, way.provider, orjson.dumps(renamed), headers)
    finally:
        attempt.ended()  # a count says nothing about calls


async def _ask(
    context: Context, provider: Provider, raw: bytes, headers: Mapping[bytes, bytes]
) -> int | None:
    try:
        async with asyncio.timeout(settings.UPSTREAM_FIRST_EVENT_SECONDS):
            reply = await context.upstream.post(provider, PATH, raw, headers, _Asked())
            try:
                if reply.status == 404:
                    await reply.finish()
                    return None
                if reply.status != 200:
                    raise answers.told(reply.status, reply.headers, await read_error(reply))
                told = await read_bounded(reply, _LARGEST_ANSWER)
            except BaseException:
                reply.close()
                raise
            await reply.finish()
    except TimeoutError:
        raise UpstreamTimeout("The provider took too long.") from None
    try:
        count = orjson.loads(told)["input_tokens"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        count = None
    if type(count) is not int or count < 0:
        raise UpstreamError("The provider's count is not understood.")
    return count


def _estimate(context: Context, model: PricedModel, body: Mapping[str, Any]) -> int:
    """By the bytes of the texts; media count as what they come to at most."""
    parts = {name: body[name] for name in ("system", "messages", "tools") if name in body}
    size = len(orjson.dumps(parts))
    told = measured(body, size, model.context_window)
    text = context.ratios.input_tokens(model.name, told.text_bytes)
    return text + max(told.input_tokens - size, 0) if told.has_media else text
