"""OpenAI's transcriptions, of models that are priced by tokens. Asked by jobs alone.

A request is a form with the sound as a file. How long it plays is not to be believed from what a
file says of itself, since what is held depends on it: it counts as long as so many bytes can play.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import httpx

from common.errors import BadInput
from proxy.bounds import Measured, measure
from proxy.delivery import Delivery
from proxy.meter import TranscriptionMeter
from proxy.protocols import base

LONGEST_PROMPT = 8_000
_LONGEST_LANGUAGE = 20
# The models, each with its dated versions, and what they take and give at most, by OpenAI's pages
# of both: tokens. Longer sound is refused there.
_MODELS = ("gpt-4o-transcribe", "gpt-4o-mini-transcribe")
WINDOW = 16_000
MOST_OUTPUT = 2_000
# OpenAI counts ten tokens a second of sound; twice that is held for.
_TOKENS_A_SECOND = 10
_HELD_A_SECOND = 20
# What MP3 has at least; of the other kinds silence takes next to nothing.
_LEAST_BYTES_A_SECOND = {"mp3": 1_000}
# What speech usually has, to make an estimate of where the provider has told no usage.
_USUAL_BYTES_A_SECOND = 4_000
_TAKEN = {"model", "language", "prompt", "response_format", "temperature", "stream"}


@dataclass(frozen=True)
class Audio:
    """A file of sound: its ``type`` as OpenAI names it, such as "mp3"; ``seconds`` is how long it
    plays at most, where its bytes alone tell that."""

    type: str
    bytes: int
    seconds: int | None = None

    @property
    def most_tokens(self) -> int | None:
        """``None``: as many as the model takes."""
        least = _LEAST_BYTES_A_SECOND.get(self.type)
        seconds = -(-self.bytes // least) if self.seconds is None and least else self.seconds
        return None if seconds is None else seconds * _HELD_A_SECOND

    @property
    def likely_tokens(self) -> int:
        seconds = self.seconds
        if seconds is None:
            seconds = -(-self.bytes // _USUAL_BYTES_A_SECOND)
        return seconds * _TOKENS_A_SECOND


def check(body: Mapping[str, Any]) -> None:
    for name in sorted(body.keys() - _TAKEN):
        raise BadInput(f"{name}: is not taken for a transcription.", param=name)
    for name, most in (("language", _LONGEST_LANGUAGE), ("prompt", LONGEST_PROMPT)):
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= most):
            raise BadInput(f"{name}: must be text of at most {most} characters.", param=name)
    if body.get("response_format") not in (None, "json"):
        raise BadInput(
            "response_format: must be json, the only one of these models.", param="response_format"
        )
    heat = body.get("temperature")
    if heat is not None and (type(heat) not in {int, float} or not 0 <= heat <= 1):
        raise BadInput("temperature: must be a number between 0 and 1.", param="temperature")


def expect_priced(name: str) -> None:
    """Raises ``BadInput`` for a model of which it is not known what its transcriptions cost."""
    if name.startswith("whisper"):
        raise BadInput(
            f"model: {name[:50]} is priced by the minute, and only tokens are priced here. Use "
            f"{' or '.join(_MODELS)}.",
            param="model",
        )
    if not any(name == known or name.startswith(f"{known}-2") for known in _MODELS):
        raise BadInput(
            f"model: must be one that transcribes: {' or '.join(_MODELS)}.", param="model"
        )


def measured(
    body: Mapping[str, Any], size: int, window: int | None, model: str = "", *, audio: Audio
) -> Measured:
    """The bound is the sound's and the prompt's. Of text there are four bytes a token, and so many
    bytes stand for the sound where its tokens are estimated."""
    window = window or WINDOW
    sound = audio.most_tokens
    text = measure([], size, None).input_tokens
    bound = window if sound is None else min(sound + text, window)
    return Measured(bound, min(size + 4 * audio.likely_tokens, 4 * bound), media=1)


def adapt(body: dict[str, Any], clamp: int | None) -> None:
    """Nothing: the model's own maximum bounds the output."""


TRANSCRIPTION = base.Protocol(
    name="openai",
    route="transcription",
    path="/audio/transcriptions",
    limit_fields=(),
    limit_name="file",
    input_field="file",
    meter=TranscriptionMeter,
    delivery=Delivery,
    check=check,
    measure=partial(measured, audio=Audio("", 0)),
    adapt=adapt,
    writes_cache=lambda _body: False,
)


def about(audio: Audio) -> base.Protocol:
    """The protocol for requests about this file."""
    return replace(TRANSCRIPTION, measure=partial(measured, audio=audio))


def sending(protocol: base.Protocol, audio: Audio, sound: bytes) -> base.Protocol:
    """The same, with the file to send: each provider that is tried gets it in a form."""
    form = _Form(f"audio.{audio.type}", sound)
    return replace(protocol, encode=form.encode, content_type=form.content_type)


class _Form:
    """Writes requests as ``multipart/form-data``, with a boundary that nobody can know before."""

    def __init__(self, name: str, sound: bytes) -> None:
        self._file = (name, sound, "application/octet-stream")
        empty = httpx.Request("POST", "http://localhost", files={"file": (name, b"")})
        self.content_type = empty.headers["content-type"]

    def encode(self, body: Mapping[str, Any]) -> bytes:
        fields = {
            name: str(value)
            for name, value in body.items()
            if value is not None and name != "stream"
        }
        form = httpx.Request(
            "POST", "http://localhost", headers={"content-type": self.content_type},
            data=fields, files={"file": self._file},
        )  # fmt: skip
        return form.read()
