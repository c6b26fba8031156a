"""Files of sound, by the bytes that tell their kinds, and asking for their transcription."""

import io
import wave
from typing import Any

import httpx
import orjson

from tests.jobs.asking import Asker

MODEL = "gpt-4o-transcribe"
TEXT, SOUND, SAID = 25, 60, 100  # microcredits a token: dollars per million, times ten
PRICE = {"input": "2.5", "input_audio": "6", "output": "10"}


def wav(seconds: int = 2, rate: int = 8_000) -> bytes:
    """Silence, in one byte a sample."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(rate)
        written.writeframes(bytes(seconds * rate))
    return file.getvalue()


# A frame's head of MPEG-2, layer III, 8 kbit/s at 16 kHz, after an ID3 tag of three bytes or not.
_MP3 = b"\xff\xf3\x18\xc4" + bytes(400)
SOUNDS = {
    "flac": b"fLaC\0\0\0\x22" + bytes(400),
    "ogg": b"OggS\0\x02" + bytes(400),
    "wav": wav(),
    "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm"
    + bytes(400),
    "m4a": b"\0\0\0\x20ftypM4A \0\0\0\0" + bytes(400),
    "mp4": b"\0\0\0\x20ftypisom\0\0\x02\0" + bytes(400),
    "mpeg": b"\0\0\x01\xba\x44\0" + bytes(400),
    "mp3": _MP3,
    "mp3 with a tag": b"ID3\x04\0\0\0\0\0\x03abc" + _MP3,
}


class Talker(Asker):
    """Somebody who has sound transcribed."""

    def send(
        self, parts: dict[str, Any], file: bytes | None, name: str = "", key: str = "", **meta: str
    ) -> Any:
        """A form with these parts; each has a boundary of its own."""
        files = {} if file is None else {"file": (name or "sound", file)}
        form = httpx.Request("POST", "http://localhost", data=parts, files=files or None)
        if not files:
            text = httpx.Request("POST", "http://localhost", files={"x": b""})
            boundary = text.headers["content-type"].partition("boundary=")[2]
            body = b"".join(
                b'--%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
                % (boundary.encode(), field.encode(), str(value).encode())
                for field, value in parts.items()
            )
            return self._post(body + b"--%b--\r\n" % boundary.encode(), text, key)
        return self._post(form.read(), form, key, **meta)

    def _post(self, body: bytes, form: httpx.Request, key: str, **meta: str) -> Any:
        kind, headers = form.headers["content-type"], {"idempotency-key": key} if key else {}
        return self._client.post("/api/jobs", body, kind, headers=headers, **meta)

    def say(
        self, file: bytes | None = None, key: str = "", length: str | None = None, **given: Any
    ) -> Any:
        """Ask for a transcription, with the model's name if no other is given; ``length``: what is
        said of the form's, another than it has."""
        meta = {} if length is None else {"CONTENT_LENGTH": length}
        given = {"model": MODEL} | given
        parts = {"kind": "transcription", "input": orjson.dumps(given).decode()}
        return self.send(parts, wav() if file is None else file, key=key, **meta)

    def said(self, file: bytes | None = None, **given: Any) -> Any:
        """A job for that, which was made."""
        answer = self.say(file, **given)
        assert answer.status_code == 202, answer.content
        return answer.json()
