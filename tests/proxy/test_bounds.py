"""The worst case of a request's input is never less than what it can come to."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.bounds import Measured, measure_embeddings
from proxy.protocols import CHAT, MESSAGES, RESPONSES, Protocol


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


parts = st.one_of(
    st.text(max_size=60).map(lambda text: {"type": "text", "text": text}),
    st.binary(max_size=300).map(
        lambda data: {"type": "image_url", "image_url": {"url": data_url("image/png", data)}}
    ),
    st.binary(max_size=300).map(
        lambda data: {"type": "input_image", "image_url": data_url("image/png", data)}
    ),
    st.text(max_size=200).map(
        lambda text: {"type": "tool_result", "content": [{"type": "text", "text": text}]}
    ),
    st.text(max_size=200).map(
        lambda text: {
            "type": "document",
            "source": {"type": "content", "content": [{"type": "text", "text": text}]},
        }
    ),
    st.just({"type": "image_url", "image_url": {"url": "https://x.test/" + "y" * 200}}),
)
contents = st.one_of(st.text(max_size=100), st.lists(parts, max_size=4))
messages = st.lists(
    st.fixed_dictionaries({"role": st.just("user"), "content": contents}), max_size=5
)
bodies = st.fixed_dictionaries({"messages": messages, "input": messages, "system": contents})
each = pytest.mark.parametrize("protocol", [CHAT, MESSAGES, RESPONSES], ids=lambda p: p.route)


def most_tokens(value: Any, image: int) -> int:
    """A tokenizer that makes a token of every byte, and charges an image the most there is."""
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, list):
        return sum(most_tokens(item, image) for item in value)
    if value.get("type") in {"image", "image_url", "input_image"}:
        return image
    return sum(most_tokens(item, image) for item in value.values())


def measured(
    protocol: Protocol, body: dict[str, Any], window: int | None = None, model: str = ""
) -> Measured:
    size = len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
    return protocol.measure(body, size, window, model)


def of_part(protocol: Protocol, part: Any, window: int | None = None, model: str = "") -> Measured:
    field = "input" if protocol is RESPONSES else "messages"
    return measured(protocol, {field: [{"role": "user", "content": [part]}]}, window, model)


@each
@given(bodies)
def test_never_less_than_a_token_a_byte(protocol: Protocol, body: dict[str, Any]) -> None:
    fields = {"input"} if protocol is RESPONSES else {"messages", "system"}
    asked = {name: value for name, value in body.items() if name in fields}
    if protocol is CHAT:
        del asked["system"]  # which is no field of its
    # gpt-4o-mini: 2,833 + 8 * 5,667, for eight tiles; Claude: 4,784 for the largest.
    image = 4_784 if protocol is MESSAGES else 48_169
    assert measured(protocol, asked).input_tokens >= most_tokens(asked, image)


@each
@given(bodies, st.integers(1, 10_000))
def test_never_more_than_the_window(protocol: Protocol, body: dict[str, Any], window: int) -> None:
    assert measured(protocol, body, window).input_tokens <= window


IMAGES = {
    CHAT.route: (CHAT, lambda url: {"type": "image_url", "image_url": {"url": url}}, 48_000),
    RESPONSES.route: (RESPONSES, lambda url: {"type": "input_image", "image_url": url}, 48_000),
    MESSAGES.route: (
        MESSAGES,
        lambda url: {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": url.split(",")[1]},
        },
        4_784,
    ),
}


@pytest.mark.parametrize(("protocol", "image", "least"), IMAGES.values(), ids=IMAGES)
def test_a_megabyte_of_image_is_not_a_million_tokens(
    protocol: Protocol, image: Any, least: int
) -> None:
    found = of_part(protocol, image(data_url("image/png", b"\0" * 1_000_000)))
    assert least < found.input_tokens < least + 3_000
    assert found.text_bytes < 250
    assert found.has_media


def test_an_image_of_low_detail_costs_little() -> None:
    low: list[tuple[Protocol, dict[str, Any]]] = [
        (CHAT, {"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "low"}}),
        (RESPONSES, {"type": "input_image", "image_url": "https://x.test/a", "detail": "low"}),
    ]
    for protocol, part in low:
        assert 2_833 < of_part(protocol, part).input_tokens < 4_200


# Worked out by hand from OpenAI's rules for the dearest shape there is: 768 * 2,048 pixels are
# 2 * 4 tiles of 512; patches are 1,536 at most, by 1.62, 2.46 or 1.72, rounded up.
IMAGE_RULES = {
    "gpt-4o": (1_445, 85), "gpt-4o-2024-08-06": (1_445, 85), "gpt-4o-mini": (48_169, 2_833),
    "gpt-4.1": (1_445, 85), "gpt-4.1-mini": (2_489, 2_489), "gpt-4.1-nano-2025-04-14": (3_779,) * 2,
    "o1": (1_275, 75), "o1-pro": (1_275, 75), "o3": (1_275, 75), "o4-mini": (2_642, 2_642),
    "gpt-5": (1_190, 70), "gpt-5-2025-08-07": (1_190, 70), "gpt-5-mini": (2_489, 2_489),
    "gpt-5-nano": (3_779, 3_779),
    # Whose rule is not known, or is another's: the most there is.
    "gpt-5.4": (48_169, 2_833), "gpt-5-pro": (48_169, 2_833), "o3-pro": (48_169, 2_833),
    "gpt-4omega": (48_169, 2_833), "": (48_169, 2_833),
}  # fmt: skip


@pytest.mark.parametrize(("model", "rule"), IMAGE_RULES.items())
def test_an_image_costs_at_most_what_its_models_rule_says(
    model: str, rule: tuple[int, int]
) -> None:
    url = "https://x.test/a.png"
    for detail, most in zip(("high", "low"), rule, strict=True):
        image = {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        input_image = {"type": "input_image", "image_url": url, "detail": detail}
        for protocol, part in ((CHAT, image), (RESPONSES, input_image)):
            found = of_part(protocol, part, None, model).input_tokens
            # The frame and the request's own bytes come on top; what is rounded is below 100.
            assert most <= found - 1_000 <= most + 250
    assert of_part(CHAT, {"type": "image_url"}, None, model).input_tokens > rule[0]


def test_images_in_tool_results_and_system_prompts_are_found() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image, image]}
    body = {"messages": [{"role": "user", "content": [result]}], "system": [image]}
    assert measured(MESSAGES, body).input_tokens > 3 * 4_784
    shot = {"type": "input_image", "image_url": "https://x.test/a.png"}
    items: list[Any] = [
        {"type": "function_call_output", "call_id": "c", "output": [shot, shot]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot"}},
    ]
    assert measured(RESPONSES, {"input": items}).input_tokens > 3 * 48_000


def test_a_document_may_fill_the_window() -> None:
    pdf = data_url("application/pdf", b"%PDF")
    for protocol, part in (
        (CHAT, {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}}),
        (CHAT, {"type": "file", "file": {"file_id": "f1"}}),
        (CHAT, {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}}),
        (RESPONSES, {"type": "input_file", "filename": "a.pdf", "file_data": pdf}),
        (RESPONSES, {"type": "input_file", "file_url": "https://x.test/a.pdf"}),
        (MESSAGES, {"type": "document", "source": {"type": "url", "url": "https://x.test"}}),
        (MESSAGES, {"type": "container_upload", "file_id": "f1"}),
    ):
        assert of_part(protocol, part, 150_000).input_tokens == 150_000
        assert of_part(protocol, part).input_tokens > 200_000


def test_a_document_that_is_text_is_bounded_as_text() -> None:
    text = "word " * 1_000
    for protocol, part in (
        (MESSAGES, {"type": "document", "source": {"type": "text", "data": text}}),
        (RESPONSES, {"type": "input_file", "file_data": data_url("text/plain", text.encode())}),
        (
            CHAT,
            {"type": "file", "file": {"file_data": data_url("text/csv", text.encode())}},
        ),
    ):
        found = of_part(protocol, part, 150_000)
        assert 5_000 < found.input_tokens < 8_500


def test_a_document_of_parts_is_bounded_by_them() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    source = {"type": "content", "content": [{"type": "text", "text": "x" * 900}, image]}
    found = of_part(MESSAGES, {"type": "document", "source": source}, 150_000)
    assert 5_684 < found.input_tokens < 7_500


def test_audio_is_bounded_by_its_bytes() -> None:
    """An hour at MP3's lowest rate, 1,000 bytes a second, at 32 tokens a second."""
    hour = base64.b64encode(b"\0" * 3_600_000).decode()
    for format in ("mp3", "wav"):
        part = {"type": "input_audio", "input_audio": {"data": hour, "format": format}}
        for protocol in (CHAT, RESPONSES):
            assert 32 * 3_600 < of_part(protocol, part, 10**6).input_tokens < 300_000
    opus = {"type": "input_audio", "input_audio": {"data": hour, "format": "opus"}}
    assert of_part(CHAT, opus, 10**6).input_tokens == 10**6


def test_text_alone_is_no_media() -> None:
    body = {"messages": [{"role": "user", "content": "image_url"}, {"type": "image"}]}
    assert measured(CHAT, body).has_media  # a message that claims to be one is counted as one
    plain = {"messages": [{"role": "user", "content": "image"}]}
    assert not measured(CHAT, plain).has_media
    assert not measured(CHAT, {"messages": "image", "system": None}).has_media


def test_embeddings_count_tokens_as_such_and_each_input_by_itself() -> None:
    assert measure_embeddings([1, 2, 3], 8_192).input_tokens == 5
    assert measure_embeddings([[1, 2, 3], [4]], 8_192).input_tokens == 8
    found = measure_embeddings(["grüezi", "x" * 20_000], 8_192)
    assert found.input_tokens == 7 + 2 + 8_192
    assert found.text_bytes == 20_007
    assert measure_embeddings("x" * 20_000, None).input_tokens == 20_002


@given(
    st.lists(
        st.one_of(st.text(min_size=1), st.lists(st.integers(0, 10**5), min_size=1)), min_size=1
    )
)
def test_embeddings_are_never_less_than_a_token_a_byte(inputs: list[Any]) -> None:
    most = sum(len(one.encode()) if isinstance(one, str) else len(one) for one in inputs)
    assert measure_embeddings(inputs, None).input_tokens >= most
