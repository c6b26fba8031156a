"""Transcriptions: the fields of OpenAI's body for them, with the sound as an uploaded file."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import orjson

from common.errors import BadInput
from jobs.kinds.base import FileKind, Part, kind, text_of
from proxy.meter import TranscriptionMeter
from proxy.protocols.transcription import MOST_OUTPUT, Audio, about, expect_priced, sending
from proxy.request import Request, parse
from usage.catalog import Catalog


@kind("transcription", limit="JOB_COMPLETION_SECONDS")
class Transcription(FileKind):
    """``input`` is ``{"model", "language", "prompt", …}``. The result is the provider's answer,
    ``{"text", "usage"}``."""

    def parts_of(self, given: Any, audio: Audio, catalog: Catalog) -> list[Part]:
        if not isinstance(given, dict):
            raise BadInput("must be an object, the request's body.")
        text = text_of({"body": given, "audio": asdict(audio)})
        return [Part(text, self.request(text, catalog))]

    def given(self, texts: Sequence[str]) -> Any:
        return orjson.loads(texts[0])["body"]

    def request(self, text: str, catalog: Catalog) -> Request:
        kept = orjson.loads(text)
        body = kept["body"]
        if isinstance(body.get("model"), str) and body["model"].startswith("whisper"):
            expect_priced(body["model"])  # which says more than that it is not there
        audio = Audio(**kept["audio"])
        request = parse(about(audio), orjson.dumps(body), catalog)
        expect_priced(request.model.name)
        if request.stream:
            raise BadInput("stream: a job's answer is not streamed.", param="stream")
        likely = min(audio.likely_tokens, request.worst.input_tokens)
        meter = partial(TranscriptionMeter, likely=likely)
        request.protocol = replace(request.protocol, meter=meter)
        most = request.model.max_output_tokens or MOST_OUTPUT
        request.worst = replace(request.worst, output_tokens=most, exact=True)
        return request

    def audio_of(self, text: str) -> Audio:
        return Audio(**orjson.loads(text)["audio"])

    def attach(self, request: Request, audio: Audio, file: bytes) -> None:
        request.protocol = sending(request.protocol, audio, file)
