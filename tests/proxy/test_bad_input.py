"""Bad input: the contract's error in the caller's protocol, upstream not called, nothing held."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.proxy.dialects import ANTHROPIC, BOTH, OPENAI, Dialect, Reply

pytestmark = pytest.mark.xdist_group("proxy-input")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)
ABSENT = object()


# --- Not a request ----------------------------------------------------------------------------

NOT_JSON = {
    "nothing": b"",
    "words": b"hello",
    "half": b'{"model": "gpt-4o-mini"',
    "two": b"{}{}",
    "single quotes": b"{'model': 'x'}",
    "a BOM": b"\xef\xbb\xbf{}",
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "bad UTF-8": b'{"model": "\xff\xfe"}',
    "NaN": b'{"model": NaN}',
    "Infinity": b'{"temperature": 1e999}',
    "half a surrogate": b'{"model": "\\ud800"}',
    "a raw line break": b'{"model": "a\nb"}',
    "a form": b"model=gpt-4o-mini&stream=true",
    "a list": b"[]",
    "a string": b'"gpt-4o-mini"',
    "a number": b"17",
    "null": b"null",
}


@both
def test_not_a_json_object(refused: Callable[..., Reply], dialect: Dialect) -> None:
    for content in NOT_JSON.values():
        refused(dialect, 400, content=content)


NESTS: list[Callable[[int], bytes]] = [
    lambda depth: b"[" * depth + b"]" * depth,
    lambda depth: b'{"a":' * depth + b"1" + b"}" * depth,
    lambda depth: b'[{"a":' * (depth // 2) + b"1" + b"}]" * (depth // 2),
]


@both
@pytest.mark.parametrize("depth", [66, 1_000, 100_000])
def test_too_deep(refused: Callable[..., Reply], dialect: Dialect, depth: int) -> None:
    body = json.dumps(dialect.body()).encode()
    for nest in NESTS:
        refused(dialect, 400, content=body[:-1] + b', "metadata": ' + nest(depth) + b"}")


@both
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_too_large(refused: Callable[..., Reply], dialect: Dialect, chunked: bool) -> None:
    content = json.dumps(dialect.body("x" * 2**20)).encode()  # the server's bound is 1 MiB
    refused(dialect, 413, content=iter([content]) if chunked else content)


# --- Wrong types ------------------------------------------------------------------------------

WRONG: dict[str, list[Any]] = {
    "model": [ABSENT, None, 1, 1.5, True, [], {}, "", ["gpt-4o-mini"], {"name": "gpt-4o-mini"}],
    "messages": [ABSENT, None, 1, True, "hello", {}, [], [1], ["hi"], [None], [[]], {"0": {}}],
    "stream": ["true", 1, 0, 1.0, [], {}, "false"],
    "max_tokens": ["5", 5.0, True, [], {}, 0, -1, -(2**63), 2**31, 2**62, 1e3, 10**30],
    "tools": [1, "x", True, {}, {"type": "function"}],
}
OPENAI_WRONG: dict[str, list[Any]] = {
    "n": ["2", 2.0, True, [], {}, 0, -1, 9, 2**40],
    "max_completion_tokens": ["5", 5.0, True, [], {}, 0, -1, 16_385, 2**40],
    "stream_options": [1, "x", True, []],
    "modalities": [["audio"], ["text", "audio"], "audio", 1, {}],
    "audio": [{"voice": "alloy"}, 1, [], ""],
    "web_search_options": [{}, {"search_context_size": "high"}, 1, []],
    "service_tier": ["priority", "flex", 1, [], {}, True, ["auto"]],
}
ANTHROPIC_WRONG: dict[str, list[Any]] = {
    "max_tokens": [ABSENT, None, 64_001],
    "service_tier": ["priority", 1, [], {}, True],
    "container": ["c1", {}, 1],
    "mcp_servers": [[{"type": "url", "url": "http://127.0.0.1"}], []],
    "speed": ["fast", 1, []],
    "inference_geo": ["us", 1],
    "tools": [
        [{"type": "web_search_20250305", "name": "web_search"}],
        [{"type": "code_execution_20250825", "name": "x"}],
        [{"type": "web_fetch_20250910", "name": "x"}],
    ],
}


@pytest.mark.parametrize("field", WRONG | OPENAI_WRONG)
def test_a_wrong_value_to_openai(refused: Callable[..., Reply], field: str) -> None:
    for value in [*WRONG.get(field, ()), *OPENAI_WRONG.get(field, ())]:
        refused(OPENAI, 400, param=field, body=_with(OPENAI, field, value))


@pytest.mark.parametrize("field", WRONG | ANTHROPIC_WRONG)
def test_a_wrong_value_to_anthropic(refused: Callable[..., Reply], field: str) -> None:
    for value in [*WRONG.get(field, ()), *ANTHROPIC_WRONG.get(field, ())]:
        reply = refused(ANTHROPIC, 400, body=_with(ANTHROPIC, field, value))
        assert field in reply.json["error"]["message"]


def test_a_wrong_wish_for_usage(refused: Callable[..., Reply]) -> None:
    for value in ("yes", 1, 0, [], {}):
        body = OPENAI.body(stream=True, stream_options={"include_usage": value})
        refused(OPENAI, 400, param="stream_options.include_usage", body=body)


def _with(dialect: Dialect, field: str, value: Any) -> dict[str, Any]:
    body = dialect.body()
    if value is ABSENT:
        del body[field]
        return body
    return body | {field: value}
