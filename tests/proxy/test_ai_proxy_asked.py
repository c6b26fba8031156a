"""What may be asked of ``/ai-proxy``, and what becomes of it in either protocol."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput, ModelNotFound
from proxy import ai_proxy
from proxy.request import Request
from tests.proxy.test_request import CATALOG, json_values

PIXEL = "data:image/png;base64,aGVsbG8="
PDF = "data:application/pdf;base64,aGVsbG8="
NOTE = "data:text/plain;charset=utf-8;base64," + base64.b64encode("grüezi".encode()).decode()
SOUND = "data:audio/mpeg;base64,aGVsbG8="
USER = {"role": "user", "content": "Hi"}
TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
TALK: list[Any] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "See"},
            {"type": "image", "url": PIXEL, "detail": "low"},
            {"type": "image", "url": "https://x.test/a.png"},
            {"type": "file", "url": PDF, "name": "a.pdf"},
            {"type": "file", "url": NOTE, "name": "a.txt"},
        ],
    },
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c1", "name": "look", "arguments": {"at": "ü"}},
            {"id": "c2", "name": "look", "arguments": {}},
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "one"},
    {"role": "tool", "tool_call_id": "c2", "content": "two"},
    {"role": "user", "content": "And now?"},
]
SETTINGS = {
    "system": "You are Farebox.", "max_tokens": 50, "temperature": 0.5, "top_p": 1, "stop": "END",
    "stream": True, "tools": [TOOL], "tool_choice": {"name": "look"},
}  # fmt: skip


def read(model: str, **body: Any) -> Request:
    return ai_proxy.parse(json.dumps({"model": model, "messages": [USER]} | body).encode(), CATALOG)


def sent(request: Request, output_tokens: int = 50) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.encode(output_tokens))
    return body


def test_to_a_chat_completion() -> None:
    request = read("mini", messages=TALK, settings=SETTINGS)
    assert (request.stream, request.worst.exact, request.worst.output_tokens) == (True, True, 50)
    assert sent(request) == {
        "model": "mini",
        "messages": [
            {"role": "system", "content": "You are Farebox."},
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
                    {"type": "file", "file": {"filename": "a.txt", "file_data": NOTE}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": id,
                        "type": "function",
                        "function": {"name": "look", "arguments": arguments},
                    }
                    for id, arguments in (("c1", '{"at":"ü"}'), ("c2", "{}"))
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": "two"},
            {"role": "user", "content": "And now?"},
        ],
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 1,
        "stop": ["END"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": TOOL}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
    }


def test_to_a_message() -> None:
    request = read("sonnet", messages=TALK, settings=SETTINGS)
    assert (request.stream, request.worst.exact, request.worst.output_tokens) == (True, True, 50)
    png = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "aGVsbG8="}
    note = {"type": "text", "media_type": "text/plain", "data": "grüezi"}
    assert sent(request) == {
        "model": "sonnet",
        "system": "You are Farebox.\n\nBe brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image", "source": png},
                    {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}},
                    {"type": "document", "source": pdf, "title": "a.pdf"},
                    {"type": "document", "source": note, "title": "a.txt"},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "ü"}},
                    {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "two"},
                    {"type": "text", "text": "And now?"},
                ],
            },
        ],
        "max_tokens": 50,
        "temperature": 0.5,
        "top_p": 1,
        "stop_sequences": ["END"],
        "stream": True,
        "tools": [{"name": "look", "description": "Looks.", "input_schema": TOOL["parameters"]}],
        "tool_choice": {"type": "tool", "name": "look"},
    }


def test_audio_goes_where_it_is_understood() -> None:
    messages = [{"role": "user", "content": [{"type": "audio", "url": SOUND}]}]
    (message,) = sent(read("mini", messages=messages))["messages"]
    audio = {"data": "aGVsbG8=", "format": "mp3"}
    assert message["content"] == [{"type": "input_audio", "input_audio": audio}]
    with pytest.raises(BadInput, match="no audio") as refused:
        read("sonnet", messages=messages)
    assert refused.value.param == "messages[0].content[0].type"


def test_little_is_enough() -> None:
    for model in ("mini", "sonnet"):
        request = read(model)
        assert request.stream
        assert not request.worst.exact
        assert not read(model, settings={"stream": False}).stream
        assert read(model, settings=None).stream
    assert sent(read("sonnet"), 64_000)["max_tokens"] == 64_000
    assert sent(read("mini"), 16_000)["max_completion_tokens"] == 16_000
    choices = {"auto": "auto", "none": "none", "required": "any"}
    for ours, anthropics in choices.items():
        settings = {"tools": [TOOL], "tool_choice": ours}
        assert sent(read("mini", settings=settings))["tool_choice"] == ours
        assert sent(read("sonnet", settings=settings))["tool_choice"] == {"type": anthropics}


def user(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "messages"),
    ({"messages": ["Hi"]}, "messages[0]"),
    ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [USER | {"name": "x"}]}, "messages[0].name"),
    ({"messages": [USER | {"tool_calls": []}]}, "messages[0].tool_calls"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    ({"messages": [USER | {"tool_call_id": "c1"}]}, "messages[0].tool_call_id"),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "image", "url": PIXEL}]}]},
        "messages[0].content",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "name": "n"}]}]},
        "messages[0].tool_calls[0].arguments",
    ),
    (user({"type": "video", "url": PIXEL}), "messages[0].content[0].type"),
    (user({"type": "text"}), "messages[0].content[0].text"),
    (user({"type": "image", "url": "http://x.test/a.png"}), "messages[0].content[0].url"),
    (user({"type": "image", "url": "file:///etc/passwd"}), "messages[0].content[0].url"),
    (user({"type": "image", "url": PDF}), "messages[0].content[0].url"),
    (user({"type": "file", "url": "https://x.test/a.pdf"}), "messages[0].content[0].url"),
    (user({"type": "audio", "url": PIXEL}), "messages[0].content[0].url"),
    (user({"type": "image", "url": PIXEL, "detail": "most"}), "messages[0].content[0].detail"),
    ({"stream": False}, "stream"),
    ({"settings": []}, "settings"),
    ({"settings": {"maxtokens": 5}}, "settings.maxtokens"),
    ({"settings": {"max_tokens": 0}}, "settings.max_tokens"),
    ({"settings": {"max_tokens": True}}, "settings.max_tokens"),
    ({"settings": {"temperature": "1"}}, "settings.temperature"),
    ({"settings": {"temperature": 2.1}}, "settings.temperature"),
    ({"settings": {"top_p": -1}}, "settings.top_p"),
    ({"settings": {"stop": []}}, "settings.stop"),
    ({"settings": {"stop": ["a"] * 5}}, "settings.stop"),
    ({"settings": {"stream": 1}}, "settings.stream"),
    ({"settings": {"system": 1}}, "settings.system"),
    ({"settings": {"tools": {}}}, "settings.tools"),
    ({"settings": {"tools": [{}]}}, "settings.tools[0].name"),
    ({"settings": {"tools": [{"type": "web_search"}]}}, "settings.tools[0].type"),
    ({"settings": {"tool_choice": "auto"}}, "settings.tool_choice"),
    ({"settings": {"tools": [TOOL], "tool_choice": {"name": "x"}}}, "settings.tool_choice"),
]


@pytest.mark.parametrize("model", ["mini", "sonnet"])
def test_what_is_wrong_is_named_as_the_client_wrote_it(model: str) -> None:
    for body, param in BAD:
        with pytest.raises(BadInput) as refused:
            read(model, **body)
        assert refused.value.param == param, body
        assert refused.value.message.startswith(f"{param}: ")


def test_text_in_a_file_has_to_be_text() -> None:
    part = {"type": "file", "url": "data:text/plain;base64,/w==", "name": "a"}
    with pytest.raises(BadInput) as refused:
        read("sonnet", **user(part))
    assert refused.value.param == "messages[0].content[0].url"


parts = st.dictionaries(
    st.sampled_from(["type", "text", "url", "detail", "name"]),
    st.sampled_from(["text", "image", "file", "audio", PIXEL, NOTE, SOUND, "low"]) | json_values,
    max_size=4,
)
messages = st.lists(
    st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "tool_call_id"]),
        st.sampled_from(["system", "user", "assistant", "tool"])
        | st.lists(parts, max_size=2)
        | json_values,
        max_size=4,
    ),
    max_size=3,
)
settings = st.dictionaries(st.sampled_from([*SETTINGS, "x"]), json_values, max_size=4)


@given(st.sampled_from(["mini", "sonnet"]), messages | json_values, settings | json_values)
def test_any_json_is_a_request_or_bad_input(model: str, messages: Any, settings: Any) -> None:
    try:
        request = read(model, messages=messages, settings=settings)
    except (BadInput, ModelNotFound):
        return
    assert request.worst.input_tokens > 0
    assert sent(request)["messages"]
