"""The worst case of a request's input is never less than what it can come to."""

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from proxy import bounds

parts = st.one_of(
    st.text(max_size=60).map(lambda text: {"type": "text", "text": text}),
    st.binary(max_size=300).map(
        lambda data: {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()},
        }
    ),
    st.binary(max_size=300).map(
        lambda data: {
            "type": "image",
            "source": {"type": "base64", "data": base64.b64encode(data).decode()},
        }
    ),
    st.text(max_size=200).map(
        lambda text: {"type": "tool_result", "content": [{"type": "text", "text": text}]}
    ),
    st.just({"type": "image_url", "image_url": {"url": "https://x.test/" + "y" * 200}}),
)
contents = st.one_of(st.text(max_size=100), st.lists(parts, max_size=4))
bodies = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "content": contents}),
            max_size=5,
        ),
        "system": contents,
    }
)


def most_tokens(value: Any) -> int:
    """A tokenizer that makes a token of every byte, and charges an image the most there is."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(most_tokens(item) for item in value)
    if value.get("type") in {"image", "image_url"}:
        return 48_169  # gpt-4o-mini: 2,833 + 8 * 5,667, for eight tiles
    return sum(most_tokens(item) for item in value.values())


def size_of(body: dict[str, Any]) -> int:
    return len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


@given(bodies)
def test_never_less_than_a_token_a_byte(body: dict[str, Any]) -> None:
    assert bounds.input_tokens(body, size_of(body), None) >= most_tokens(body)


@given(bodies, st.integers(1, 10_000))
def test_never_more_than_the_window(body: dict[str, Any], window: int) -> None:
    assert bounds.input_tokens(body, size_of(body), window) <= window


def test_a_megabyte_of_image_is_not_a_million_tokens() -> None:
    data = base64.b64encode(b"\0" * 1_000_000).decode()
    image = {"type": "image", "source": {"type": "base64", "data": data}}
    body = {"messages": [{"role": "user", "content": [image]}]}
    assert bounds.input_tokens(body, size_of(body), None) < 60_000
    assert bounds.text_bytes(body, size_of(body)) < 200
    assert bounds.has_media(body)


def test_images_in_tool_results_and_system_prompts_are_found() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
    body = {"messages": [{"role": "user", "content": [result]}], "system": [image]}
    assert bounds.input_tokens(body, size_of(body), None) > 3 * 48_000


def test_a_document_may_fill_the_window() -> None:
    for kind in ("document", "file", "input_audio", "container_upload"):
        part = {"type": kind, "file": {"file_id": "f1"}}
        body = {"messages": [{"role": "user", "content": [part]}]}
        assert bounds.input_tokens(body, size_of(body), 200_000) == 200_000


def test_text_alone_is_no_media() -> None:
    body = {"messages": [{"role": "user", "content": "image_url"}, {"type": "image"}]}
    assert bounds.has_media(body)  # a message that claims to be one is counted as one
    assert not bounds.has_media({"messages": [{"role": "user", "content": "image"}]})
    assert not bounds.has_media({"messages": "image", "system": None})
