"""Stripe's parameters: form fields with nested names, and reading them with Stripe's errors.

``items[0][price]=price_1&metadata[user]=7`` is ``{"items": [{"price": "price_1"}], "metadata":
{"user": "7"}}``. Every value is text; an empty one unsets what it names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .errors import StripeError, missing_param

Params = dict[str, Any]

_PART = re.compile(r"\[([^\]]*)\]")
_CURRENCY = re.compile(r"[a-zA-Z]{3}")


def parse(pairs: Iterable[tuple[str, str]]) -> Params:
    """Nested parameters from form pairs in their order."""
    tree: Params = {}
    for name, value in pairs:
        first, _, rest = name.partition("[")
        path = [first, *_PART.findall("[" + rest if rest else "")]
        node = tree
        for part in path[:-1]:
            node = node.setdefault(_index(node, part), {})
            if not isinstance(node, dict):
                raise StripeError(f"Invalid object: {name}", param=name)
        node[_index(node, path[-1])] = value
    return {name: _lists(value) for name, value in tree.items()}


def _index(node: Params, part: str) -> str:
    """``[]`` is the next number of its list."""
    return part if part else str(len(node))


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(part.isdecimal() for part in node):
        return [_lists(node[part]) for part in sorted(node, key=int)]
    return {part: _lists(value) for part, value in node.items()}


def require(params: Params, *names: str) -> None:
    """Refuse a request that lacks one of them."""
    for name in names:
        if params.get(name) in (None, "", [], {}):
            raise missing_param(name)


def text(params: Params, name: str, default: str | None = None) -> str | None:
    """A string, or ``default`` when it is absent or empty."""
    value = params.get(name)
    if value is None or value == "":
        return default
    if not isinstance(value, str):
        raise StripeError(f"Invalid string: {value}", param=name)
    return value


def integer(
    params: Params, name: str, default: int | None = None, at_least: int | None = None
) -> int | None:
    """A whole number within 64 bits, or ``default``."""
    value = text(params, name)
    if value is None:
        return default
    if not re.fullmatch(r"-?\d{1,19}", value):
        raise StripeError(f"Invalid integer: {value}", param=name, code="parameter_invalid_integer")
    if at_least is not None and int(value) < at_least:
        raise StripeError(
            f"This value must be greater than or equal to {at_least}.",
            param=name,
            code="parameter_invalid_integer",
        )
    return int(value)


def boolean(params: Params, name: str, default: bool = False) -> bool:
    """``true`` or ``false``, or ``default``."""
    value = text(params, name)
    if value is None:
        return default
    if value.lower() not in ("true", "false"):
        raise StripeError(f"Invalid boolean: {value}", param=name)
    return value.lower() == "true"


def choice(params: Params, name: str, allowed: Iterable[str], default: str) -> str:
    """One of a few words, or ``default``."""
    value = text(params, name, default)
    assert value is not None
    allowed = list(allowed)
    if value not in allowed:
        raise StripeError(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
    return value


def mapping(params: Params, name: str) -> Params:
    """A nested object; empty when it is absent."""
    value = params.get(name)
    if value in (None, "", []):
        return {}
    if not isinstance(value, dict):
        raise StripeError(f"Invalid object: {value}", param=name)
    return value


def sequence(params: Params, name: str) -> list[Any]:
    """A list; empty when it is absent."""
    value = params.get(name)
    if value in (None, ""):
        return []
    if not isinstance(value, list):
        raise StripeError("Invalid array", param=name)
    return value


def currency(params: Params, name: str = "currency") -> str:
    require(params, name)
    value = text(params, name) or ""
    if not _CURRENCY.fullmatch(value):
        raise StripeError(f"Invalid currency: {value}.", param=name)
    return value.lower()


def metadata(params: Params, into: dict[str, str] | None = None) -> dict[str, str]:
    """Metadata as Stripe merges it: an empty value removes its key, an empty whole removes all."""
    if "metadata" not in params:
        return into or {}
    if params["metadata"] == "":
        return {}
    merged = {**(into or {}), **mapping(params, "metadata")}
    if len(merged) > 50:
        raise StripeError("You can only have up to 50 metadata keys.", param="metadata")
    for key, value in merged.items():
        if not isinstance(value, str) or len(value) > 500 or len(key) > 40:
            raise StripeError(
                "Metadata keys have up to 40 characters and values up to 500.",
                param=f"metadata[{key}]",
            )
    return {key: value for key, value in merged.items() if value != ""}
