"""How many input tokens a request can be at most, told before it is sent.

A token of text is at least one byte of it, so the length of the request's compact JSON bounds its
text from above; media, whose bytes say nothing of their tokens, are taken out and counted by their
kind; the model's context window bounds the whole, since providers refuse what is longer.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# The prompts that providers add by themselves, for tools and message framing.
FRAME_TOKENS = 1_000
# The most an image costs at any OpenAI-compatible provider: OpenAI's gpt-4o-mini at high detail
# charges 2,833 + 8 * 5,667 tokens, at low detail the first of them. Anthropic's, of width * height
# / 750 once they are scaled down, stay below 5,000.
IMAGE_TOKENS = 48_200
LOW_DETAIL_TOKENS = 2_900
ANTHROPIC_IMAGE_TOKENS = 5_000
# The same for OpenAI's own models whose rule is published (its guide "Images and vision"), by the
# longest name that a model's begins with: (high detail, low detail). Tiles of 512 pixels after
# scaling to 768 * 2,048 are 8 at most, above a base; patches of 32 pixels are 1,536 at most, each
# times the model's factor. A model that is not listed costs the most there is.
_OPENAI_IMAGES = {
    "gpt-4o": (85 + 8 * 170, 85), "chatgpt-4o": (85 + 8 * 170, 85),
    "gpt-4o-mini": (IMAGE_TOKENS, LOW_DETAIL_TOKENS), "gpt-4-turbo": (85 + 8 * 170, 85),
    "gpt-4.5": (85 + 8 * 170, 85), "gpt-4.1": (85 + 8 * 170, 85),
    "gpt-4.1-mini": (2_489, 2_489), "gpt-4.1-nano": (3_779, 3_779),
    "gpt-5": (70 + 8 * 140, 70), "gpt-5-mini": (2_489, 2_489), "gpt-5-nano": (3_779, 3_779),
    "gpt-5-pro": (IMAGE_TOKENS, LOW_DETAIL_TOKENS), "o3-pro": (IMAGE_TOKENS, LOW_DETAIL_TOKENS),
    "o1": (75 + 8 * 150, 75), "o3": (75 + 8 * 150, 75), "o4-mini": (2_642, 2_642),
}  # fmt: skip
# Audio as it is sent, MP3 or WAV, has a thousand bytes a second at least (MP3's lowest rate), and
# is at most 50 tokens a second (OpenAI counts 10, Gemini 32): a token for each 20 bytes, and fewer
# of those than characters of base64; plus one second, since what is begun counts as whole.
_AUDIO_BYTES_A_TOKEN = 20
_AUDIO_START = 50
_AUDIO_FORMATS = {"mp3", "wav"}
# What a document may come to where the model's window is not known.
_UNKNOWN_WINDOW = 200_000

_IMAGES = {"image_url", "image", "input_image", "computer_screenshot"}
_AUDIO = {"input_audio", "audio"}
_DOCUMENTS = {"file", "document", "input_file", "container_upload", "video_url", "input_video"}
_MEDIA = _IMAGES | _AUDIO | _DOCUMENTS
# Parts of a message that may hold parts themselves: tool results.
_HOLDERS = ("content", "output")


@dataclass(frozen=True)
class Measured:
    """What a request's input can come to. ``input_tokens`` is the bound, ``text_bytes`` what a
    ratio of bytes to tokens is learned from, and an estimate made of; ``media`` counts the parts
    that are images, sounds or documents."""

    input_tokens: int
    text_bytes: int
    media: int = 0

    @property
    def has_media(self) -> bool:
        return self.media > 0


@lru_cache(maxsize=1024)
def openai_image(model: str) -> tuple[int, int]:
    """The most tokens of an image at one of OpenAI's own models: at high detail, and at low."""
    known = [name for name in _OPENAI_IMAGES if f"{model}-".startswith(f"{name}-")]
    return _OPENAI_IMAGES[max(known, key=len)] if known else (IMAGE_TOKENS, LOW_DETAIL_TOKENS)


def measure(
    parts: Iterable[Any],
    size: int,
    window: int | None,
    *,
    image: tuple[int, int] = (IMAGE_TOKENS, LOW_DETAIL_TOKENS),
) -> Measured:
    """Measure a request whose compact JSON has ``size`` bytes, ``parts`` being its fields that may
    hold media; ``window`` is the model's context window, ``image`` the most of an image at high
    detail and at low, tokens."""
    total, data, found = size + FRAME_TOKENS, 0, 0
    for part in _media(parts):
        found += 1
        blob = _data_bytes(part)
        data += blob
        kind = part["type"]
        if kind in _IMAGES:
            total += _image_tokens(part, *image) - blob
        elif kind in _AUDIO:
            total += _audio_tokens(part, window) - blob
        elif not _is_text(part):
            # Pages can't be told from bytes, nor bytes from a name: all there is room for.
            total += window or _UNKNOWN_WINDOW
    return Measured(min(total, window) if window else total, max(size - data, 1), found)


def measure_embeddings(inputs: Any, window: int | None) -> Measured:
    """Measure what is to be embedded: text, tokens, or a list of either.

    The model's window bounds each input, not their sum.
    """
    single = isinstance(inputs, str) or (bool(inputs) and isinstance(inputs[0], int))
    total = size = 0
    for one in [inputs] if single else inputs:
        tokens = len(one.encode(errors="surrogatepass")) if isinstance(one, str) else len(one)
        # What an estimate is made of: four bytes stand for a token.
        size += tokens if isinstance(one, str) else 4 * tokens
        total += min(tokens + 2, window) if window else tokens + 2
    return Measured(total, max(size, 1))


def _media(values: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """The content parts that are not text, tool results' included."""
    stack = list(values)
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            kind = value.get("type")
            if isinstance(kind, str) and kind in _MEDIA:
                if not _is_parts(value):
                    yield value
                    continue
                value = value["source"]  # a document made of parts: those are looked at
            stack += [value[name] for name in _HOLDERS if name in value]


def _is_parts(part: Mapping[str, Any]) -> bool:
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") == "content"


def _is_text(part: Mapping[str, Any]) -> bool:
    """Whether a document is text sent as such: its bytes bound it, as any text's."""
    source = part.get("source")
    if isinstance(source, dict):
        return source.get("type") == "text"
    file = part.get("file") if part["type"] == "file" else part
    data = file.get("file_data") if isinstance(file, dict) else None
    return isinstance(data, str) and data.startswith("data:text/")


def _image_tokens(part: Mapping[str, Any], high: int, low: int) -> int:
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, dict) else part.get("detail")
    return low if detail == "low" else high


def _audio_tokens(part: Mapping[str, Any], window: int | None) -> int:
    audio = part.get("input_audio")
    if isinstance(audio, dict) and audio.get("format") in _AUDIO_FORMATS:
        data = audio.get("data")
        if isinstance(data, str) and data:
            return len(data) // _AUDIO_BYTES_A_TOKEN + _AUDIO_START
    return window or _UNKNOWN_WINDOW


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
