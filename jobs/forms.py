"""Jobs that are asked for by a form (``multipart/form-data``), since they come with a file."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework.request import Request

from common.errors import BadInput, TooLarge
from jobs import audio
from jobs.uploads import FORM, Upload

_PARTS = ("kind", "input", "webhook", "file")
_TYPES = "flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav or webm"


@dataclass(frozen=True)
class Form:
    """A form read: its fields as a JSON body has them, and its file, if there is one."""

    fields: dict[str, Any]
    upload: Upload | None

    @property
    def meaning(self) -> bytes:
        """What an Idempotency-Key stands for: the same at each retry, whatever the form's
        boundary is."""
        digest = self.upload.digest if self.upload is not None else None
        return orjson.dumps([self.fields, digest], option=orjson.OPT_SORT_KEYS)


def is_form(request: Request) -> bool:
    return bool(request.content_type) and request.content_type.lower().startswith(FORM)


def read_form(request: Request) -> Form:
    """The parts of a form: ``kind``, ``input`` as JSON, ``webhook``, and ``file``.

    Raises ``BadInput`` that names the part, and ``TooLarge``.
    """
    if not request.META.get("CONTENT_LENGTH"):  # Django takes it for an empty one then
        raise BadInput("This form came in chunks; send it with a Content-Length.")
    given: Any = request.data  # a ``QueryDict``, of a form
    for name in given:
        if name not in _PARTS:
            raise BadInput(f"{name[:50]}: is no part of this form.", param=name[:50])
        if len(given.getlist(name)) > 1:
            raise BadInput(f"{name}: is given twice.", param=name)
        if isinstance(given[name], UploadedFile) != (name == "file"):
            kind = "a file" if name == "file" else "text, and no file"
            raise BadInput(f"{name}: must be {kind}.", param=name)
    fields = {name: given[name] for name in ("kind", "webhook") if name in given}
    if "input" in given:
        try:
            fields["input"] = orjson.loads(given["input"])
            orjson.dumps([fields])  # it nests no deeper than ``meaning`` can write
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            raise BadInput("input: must be JSON.", param="input") from None
    return Form(fields, _look(given["file"]) if "file" in given else None)


def _look(file: UploadedFile) -> Upload:
    size = file.size or 0
    if size > settings.JOB_AUDIO_BYTES:
        raise TooLarge(
            f"file: has {size} bytes; at most {settings.JOB_AUDIO_BYTES} are taken.", param="file"
        )
    if not size:
        raise BadInput("file: is empty.", param="file")
    found = audio.look(file, size)
    if found is None:
        raise BadInput(f"file: must be sound: {_TYPES}.", param="file")
    digest = sha256()
    for piece in file.chunks():
        digest.update(piece)
    return Upload(file, found, digest.hexdigest())
