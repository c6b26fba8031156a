"""Parsing and bounding what a client asks, before anything is held or sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.conf import settings

from common.errors import BadInput
from proxy.bounds import Measured
from proxy.protocols import Protocol
from usage.calls import WorstCase
from usage.catalog import Catalog, PricedModel, Route
from usage.sync import known_max_output

_FORBIDDEN = {"api_base", "base_url"}
_LARGEST = 2**31
_OPENAI = Route("openai")
# What Anthropic's "context-1m" switch opens: the long context, at a price of its own.
_LONG_CONTEXT = 1_000_000


@dataclass
class Request:
    """A request that can be priced. ``text_bytes`` is what its input tokens are estimated from;
    ``window`` is the context window it can fill, tokens."""

    protocol: Protocol
    model: PricedModel
    body: dict[str, Any]
    stream: bool
    shows_usage: bool
    worst: WorstCase
    text_bytes: int
    has_media: bool
    window: int | None

    def encode(self, output_tokens: int) -> bytes:
        """The body for the provider, bounded to ``output_tokens`` a choice.

        It is written anew from what was parsed, so that provider and meter read the same of a
        name given twice.
        """
        protocol, model = self.protocol, self.model
        # A model's own maximum is not named: one whose window is no larger would refuse it. Where
        # staff have set another, nobody else would keep to it.
        most = None if protocol.bounded else model.max_output_tokens
        open_ended = output_tokens == most == known_max_output(model.name)
        protocol.adapt(self.body, None if self.worst.exact or open_ended else output_tokens)
        return protocol.encode(self.body)


def parse(
    protocol: Protocol, raw: bytes, catalog: Catalog, headers: Mapping[bytes, bytes] | None = None
) -> Request:
    """Read a request. Raises ``BadInput`` naming the field, and ``ModelNotFound``."""
    body = load(raw)
    model = catalog.find(name_of(body), protocol.name)
    return bound(body, protocol, model, headers)


def bound(
    body: dict[str, Any],
    protocol: Protocol,
    model: PricedModel,
    headers: Mapping[bytes, bytes] | None = None,
) -> Request:
    """A body that was read, as a request of ``protocol`` to ``model``, with its worst case.

    Raises ``BadInput`` naming the field.
    """
    stream = _flag(body, "stream")
    protocol.check(body)
    options = body.get("stream_options")
    clean = orjson.dumps(body)
    window = _window(model, headers or {})
    measured = protocol.measure(body, len(clean), window, _openais_own(model))
    if measured.media > settings.MAX_MEDIA_PARTS:
        raise BadInput(
            f"{protocol.input_field}: at most {settings.MAX_MEDIA_PARTS} images, sounds and "
            "documents a request are taken.",
            param=protocol.input_field,
        )
    return Request(
        protocol=protocol,
        model=model,
        body=body,
        stream=stream,
        shows_usage=isinstance(options, dict) and options.get("include_usage") is True,
        worst=_worst_case(clean, body, protocol, model, measured),
        text_bytes=measured.text_bytes,
        has_media=measured.has_media,
        window=window,
    )


def _openais_own(model: PricedModel) -> str:
    """The model's name, where OpenAI alone answers it under that name; else nothing."""
    routes = model.routes or (Route(model.provider),)
    return model.name if routes.count(_OPENAI) == len(routes) else ""


def load(raw: bytes) -> dict[str, Any]:
    """The JSON object that ``raw`` is. Raises ``BadInput``, for what no request may hold too."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadInput("The body must be a JSON object.")
    _walk(raw, body)
    return body


def name_of(body: Mapping[str, Any]) -> str:
    """The model that a request names. Raises ``BadInput``."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise BadInput("model: must be a string.", param="model")
    return name


def _walk(raw: bytes, body: dict[str, Any]) -> None:
    """Refuse what is nested too deep, and addresses smuggled in at any depth.

    Most bodies can hold neither, which their bytes tell; the walk is for the others.
    """
    shallow = raw.count(b"{") + raw.count(b"[") <= settings.MAX_JSON_DEPTH
    if shallow and not re.search(rb"api_base|base_url|\\u", raw):
        return
    level: list[Any] = [body]
    for _ in range(settings.MAX_JSON_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                found = _FORBIDDEN & value.keys()
                if found:
                    field = min(found)
                    raise BadInput(f"{field}: the provider is not yours to choose.", param=field)
                below += [v for v in value.values() if isinstance(v, (dict, list))]
            else:
                below += [v for v in value if isinstance(v, (dict, list))]
        if not below:
            return
        level = below
    raise BadInput(f"The body is nested deeper than {settings.MAX_JSON_DEPTH} levels.")


def _window(model: PricedModel, headers: Mapping[bytes, bytes]) -> int | None:
    """The context window, longer where the client asks for that (the switch is passed on)."""
    if model.context_window and b"context-1m" in headers.get(b"anthropic-beta", b""):
        return max(model.context_window, _LONG_CONTEXT)
    return model.context_window


def _worst_case(
    clean: bytes,
    body: Mapping[str, Any],
    protocol: Protocol,
    model: PricedModel,
    measured: Measured,
) -> WorstCase:
    input_tokens = measured.input_tokens
    input_units = model.rates.worst_input(input_tokens, writes_cache=protocol.writes_cache(clean))
    if not protocol.generates:
        return WorstCase(
            input_tokens=input_tokens,
            input_units=input_units,
            output_rate=0,
            output_tokens=0,
            choices=1,
            exact=True,
            floor=0,
            limit_field=protocol.limit_name,
        )
    limit = _limit(body, protocol, model)
    ceiling = model.max_output_tokens or min(
        settings.DEFAULT_MAX_OUTPUT_TOKENS, model.context_window or _LARGEST
    )
    return WorstCase(
        input_tokens=input_tokens,
        input_units=input_units,
        output_rate=model.rates.output_rate(input_tokens),
        output_tokens=ceiling if limit is None else limit,
        choices=_whole(body, "n", most=settings.MAX_CHOICES) or 1,
        exact=limit is not None,
        floor=settings.MIN_OUTPUT_TOKENS,
        limit_field=protocol.limit_name,
    )


def most_output(model: PricedModel) -> int:
    """The largest bound of its output that a request to ``model`` may name, tokens."""
    return model.max_output_tokens or model.context_window or _LARGEST


def _limit(body: Mapping[str, Any], protocol: Protocol, model: PricedModel) -> int | None:
    """The output bound the client named, the largest where it named two."""
    most = most_output(model)
    given = [_whole(body, field, most=most) for field in protocol.limit_fields]
    limits = [limit for limit in given if limit is not None]
    if not limits and protocol.limit_required:
        raise BadInput("max_tokens: is required.", param="max_tokens")
    return max(limits) if limits else None


def _whole(body: Mapping[str, Any], field: str, *, most: int) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= most:
        raise BadInput(f"{field}: must be a whole number between 1 and {most}.", param=field)
    return value


def _flag(body: Mapping[str, Any], field: str) -> bool:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise BadInput(f"{field}: must be true or false.", param=field)
    return bool(value)
