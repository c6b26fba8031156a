"""Parsing a request: its worst case in money, and the body that goes to the provider."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput, ModelNotFound
from proxy.protocols import CHAT, MESSAGES, Protocol
from proxy.request import Request, parse
from usage.catalog import Catalog, PricedModel, Route
from usage.prices import Rates

MILLION = 10**6


def rates(**dollars: int) -> dict[str, int]:
    """Rates in whole microcredits per million tokens, whatever they are called here."""
    usual = {"cache_read": 1, "cache_write": 5, "cache_write_1h": 8}
    return {name: value * MILLION for name, value in (usual | dollars).items()}


MINI = PricedModel(
    "mini", "openai", "openai", 100_000, 16_000, 0, 1,
    Rates(rates(input=4, output=10)), Rates(rates(input=4, output=10)),
)  # fmt: skip
SONNET = PricedModel(
    "sonnet", "anthropic", "anthropic", 200_000, 64_000, 0, 2,
    Rates(rates(input=4, output=10), ((200_000, rates(input=8, cache_write=10, output=15)),)),
    Rates(rates(input=4, output=10)),
)  # fmt: skip
CATALOG = Catalog([MINI, SONNET])


def read(protocol: Protocol, headers: dict[bytes, bytes] | None = None, **more: Any) -> Request:
    body: dict[str, Any] = {"model": "mini", "messages": [{"role": "user", "content": "Hi"}]}
    if protocol is MESSAGES:
        body |= {"model": "sonnet", "max_tokens": 100}
    return parse(protocol, json.dumps(body | more).encode(), CATALOG, headers)


def sent(request: Request, output_tokens: int = 50) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.encode(output_tokens))
    return body


def test_a_named_limit_is_exact_and_stays_as_it_was() -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        request = read(CHAT, **{field: 70})
        assert (request.worst.exact, request.worst.output_tokens) == (True, 70)
        body = sent(request, 70)
        assert {n: v for n, v in body.items() if n.startswith("max_")} == {field: 70}


def test_of_two_limits_the_larger_is_held() -> None:
    request = read(CHAT, max_tokens=70, max_completion_tokens=900)
    assert request.worst.output_tokens == 900


def test_without_a_limit_the_models_own_holds_and_a_clamp_is_sent() -> None:
    request = read(CHAT)
    assert (request.worst.exact, request.worst.output_tokens) == (False, 16_000)
    assert sent(request, 300)["max_completion_tokens"] == 300
    assert sent(read(CHAT), 16_000)["max_completion_tokens"] == 16_000


def test_a_bound_that_staff_have_set_is_sent_and_a_models_own_is_not() -> None:
    for most, named in ((16_384, None), (500, 500)):
        gpt = Catalog([replace(MINI, name="gpt-4o", max_output_tokens=most)])
        asked = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]})
        request = parse(CHAT, asked.encode(), gpt)
        assert request.worst.output_tokens == most
        assert sent(request, most).get("max_completion_tokens") == named


def test_a_null_limit_is_none() -> None:
    request = read(CHAT, max_tokens=None)
    assert not request.worst.exact
    assert sent(request, 300)["max_completion_tokens"] == 300


def test_choices_are_held() -> None:
    assert read(CHAT, n=3).worst.choices == 3
    assert read(CHAT, n=None).worst.choices == 1


def test_usage_is_asked_of_streams_only() -> None:
    assert sent(read(CHAT, stream=True))["stream_options"] == {"include_usage": True}
    asked = {"include_usage": False, "include_obfuscation": False}
    request = read(CHAT, stream=True, stream_options=asked)
    assert not request.shows_usage
    assert sent(request)["stream_options"] == asked | {"include_usage": True}
    assert read(CHAT, stream=True, stream_options={"include_usage": True}).shows_usage
    assert "stream_options" not in sent(read(CHAT, stream=False))
    assert "stream_options" not in sent(read(MESSAGES, stream=True))


def test_the_input_is_held_at_its_dearest() -> None:
    """OpenAI writes its cache unasked; Anthropic where the request says so, at either price."""
    request = read(CHAT)
    assert request.worst.input_units == request.worst.input_tokens * 8 * MILLION
    request = read(MESSAGES)
    assert request.worst.input_units == request.worst.input_tokens * 4 * MILLION
    for spelled in ('"cache_control"', '"\\u0063ache_control"'):
        raw = (
            '{"model":"sonnet","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text",'
        )
        raw += '"text":"Hi",' + spelled + ':{"type":"ephemeral","ttl":"1h"}}]}]}'
        request = parse(MESSAGES, raw.encode(), CATALOG)
        assert request.worst.input_units == request.worst.input_tokens * 8 * MILLION


def test_the_long_context_is_held_where_it_is_asked_for() -> None:
    long = [{"role": "user", "content": "x" * 250_000}]
    request = read(MESSAGES, messages=long)
    assert request.worst.input_tokens == 200_000, "the provider takes no more"
    beta = {b"anthropic-beta": b"other-1,context-1m-2025-08-07"}
    request = read(MESSAGES, beta, messages=long)
    assert request.worst.input_tokens > 250_000
    assert request.worst.input_units == request.worst.input_tokens * 8 * MILLION
    assert request.worst.output_rate == 15 * MILLION
    assert request.window == 1_000_000


def test_what_was_parsed_is_what_is_sent() -> None:
    raw = (
        b'{"model":"gone","model":"mini","messages":[{"role":"user","content":"\\u00fc"}],"x":1e2}'
    )
    assert json.loads(parse(CHAT, raw, CATALOG).encode(16_000)) == {
        "model": "mini", "messages": [{"role": "user", "content": "ü"}], "x": 100.0,
        "max_completion_tokens": 16_000,
    }  # fmt: skip


def test_models_are_found_by_protocol() -> None:
    with pytest.raises(ModelNotFound, match="/v1/messages"):
        read(CHAT, model="sonnet")
    with pytest.raises(ModelNotFound, match="/v1/chat/completions"):
        read(MESSAGES, model="mini")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n",
    "tools", "modalities", "service_tier", "audio", "metadata", "system", "speed",
)  # fmt: skip


@given(
    st.sampled_from([CHAT, MESSAGES]),
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
)
def test_any_json_is_a_request_or_bad_input(protocol: Protocol, changes: dict[str, Any]) -> None:
    """Nothing but the two refusals ever comes out, and what is taken can be sent."""
    try:
        request = read(protocol, **changes)
    except (BadInput, ModelNotFound):
        return
    assert request.worst.input_tokens > 0
    assert request.worst.output_tokens >= 1
    assert request.worst.choices >= 1
    assert sent(request)["messages"] == request.body["messages"]


@given(st.binary(max_size=60))
def test_any_bytes_are_bad_input(raw: bytes) -> None:
    with pytest.raises(BadInput):
        parse(CHAT, raw, CATALOG)


IMAGE: Any = {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}


def test_more_media_than_are_taken_are_refused_by_name(settings: Any) -> None:
    settings.MAX_MEDIA_PARTS = 3
    for count in (3, 4):
        asked = {"messages": [{"role": "user", "content": [IMAGE] * count}]}
        if count == 3:
            assert read(CHAT, **asked).has_media
        else:
            with pytest.raises(BadInput, match="at most 3 images") as raised:
                read(CHAT, **asked)
            assert raised.value.param == "messages"


def test_an_image_is_held_by_its_models_rule_where_openai_alone_answers() -> None:
    gpt = replace(MINI, name="gpt-4o")
    asked = json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": [IMAGE]}]}
    ).encode()

    def held(*routes: Route) -> int:
        return parse(CHAT, asked, Catalog([replace(gpt, routes=routes)])).worst.input_tokens

    assert held() == held(Route("openai")) < 3_000
    for elsewhere in (Route("openrouter"), Route("openai", "gpt-4o-mini")):
        assert held(Route("openai"), elsewhere) > 48_000
