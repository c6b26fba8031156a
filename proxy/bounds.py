"""How many input tokens a request can be at most, told before it is sent.

A token of text is at least one byte of it, so the length of the request's compact JSON bounds its
text from above; media, whose bytes say nothing of their tokens, are taken out and counted by their
kind; the model's context window bounds the whole, since providers refuse what is longer.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# The most an image costs at either provider: OpenAI's gpt-4o-mini at high detail charges
# 2,833 + 8 * 5,667 tokens; Anthropic's stay below 5,000.
IMAGE_TOKENS = 48_200
# The prompts that providers add by themselves, for tools and message framing.
FRAME_TOKENS = 1_000

_IMAGES = {"image_url", "image", "input_image"}
_OTHER_MEDIA = {"file", "document", "input_file", "input_audio", "container_upload"}


def input_tokens(body: Mapping[str, Any], size: int, context_window: int | None) -> int:
    """The bound for a request whose compact JSON has ``size`` bytes; tokens."""
    total = size + FRAME_TOKENS
    for part in _media(body.get("messages"), body.get("system")):
        if part["type"] in _IMAGES:
            total += IMAGE_TOKENS - _data_bytes(part)
        else:
            # Pages of a document and seconds of audio can't be told from bytes: all there is room
            # for. Without a known window every byte of the file counts as a token.
            total += context_window or 0
    return min(total, context_window) if context_window else total


def text_bytes(body: Mapping[str, Any], size: int) -> int:
    """The bytes that are text, what a ratio of bytes to tokens is learned from."""
    return max(
        size - sum(_data_bytes(part) for part in _media(body.get("messages"), body.get("system"))),
        1,
    )


def has_media(body: Mapping[str, Any]) -> bool:
    return any(True for _ in _media(body.get("messages"), body.get("system")))


def _media(*values: Any) -> Iterator[Mapping[str, Any]]:
    """The content parts that are not text, tool results' included."""
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            kind = value.get("type")
            if isinstance(kind, str) and (kind in _IMAGES or kind in _OTHER_MEDIA):
                yield value
            elif "content" in value:
                stack.append(value["content"])


def _data_bytes(part: Any) -> int:
    """The bytes of the long strings in a media part."""
    total, stack = 0, [part]
    while stack:
        value = stack.pop()
        if isinstance(value, str):
            total += len(value) if len(value) > 64 else 0
        elif isinstance(value, dict):
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return total
