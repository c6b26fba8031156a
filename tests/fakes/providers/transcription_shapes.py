"""OpenAI's transcriptions as bytes: what it checks, and its answers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from .behaviour import Behaviour
from .openai_shapes import check_key, dump, error, error_event
from .script import Ask, Frame, Plan, Refused

__all__ = ["SentForm", "check_key", "error", "error_event", "parse", "plan", "read"]


@dataclass(frozen=True)
class SentForm:
    """A form as it came: its fields, and the one file with its name."""

    fields: dict[str, str]
    name: str
    file: bytes


def parse(body: bytes, headers: Mapping[str, str]) -> SentForm:
    """Read a form; raise `Refused` for what is none."""
    kind = headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise Refused(400, "Could not parse multipart form")
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
    )
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for part in message.iter_parts():
        value: Any = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        if (file := part.get_filename()) is not None:
            files.append((file, value))
        elif name in fields:
            raise Refused(400, f"Duplicate parameter: '{name}'.")
        else:
            fields[str(name)] = value.decode()
    if len(files) != 1:
        raise Refused(400, "Missing required parameter: 'file'.", param="file")
    return SentForm(fields, *files[0])


def read(body: bytes, headers: Mapping[str, str]) -> Ask:
    """Parse a request for a transcription; raise `Refused` where OpenAI answers 400."""
    form = parse(body, headers)
    if "model" not in form.fields:
        raise Refused(400, "you must provide a model parameter")
    if form.name.rpartition(".")[2] not in _TYPES:
        raise Refused(400, "Invalid file format.", param="file")
    return Ask(
        protocol="openai",
        model=form.fields["model"],
        stream=False,
        limit=None,
        choices=1,
        include_usage=True,
        tools=(),
        words=form.fields.get("prompt", ""),
    )


_TYPES = ("flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm")


def plan(ask: Ask, behaviour: Behaviour, number: int) -> Plan:
    """The behaviour's words, whatever the sound is."""
    usage = behaviour.usage
    said = behaviour.events * behaviour.tokens_per_event if usage.output is None else usage.output
    text = "".join(behaviour.text_at(place) for place in range(behaviour.events))
    answer: dict[str, Any] = {"text": text}
    if behaviour.report_usage:
        answer["usage"] = {
            "type": "tokens",
            "total_tokens": usage.all_input + said,
            "input_tokens": usage.all_input,
            "input_token_details": {"text_tokens": usage.input, "audio_tokens": usage.audio},
            "output_tokens": said,
        }
    return Plan([Frame(dump(answer), said)], behaviour, usage=replace(usage, output=said))
