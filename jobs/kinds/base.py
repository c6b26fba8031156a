"""What a kind of job is. A new one is a subclass of ``Kind``, registered with ``@kind``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from django.conf import settings

from common.errors import BadInput, FareboxError
from proxy.protocols.transcription import Audio
from proxy.request import Request
from usage.catalog import Catalog


@dataclass(frozen=True)
class Part:
    """One paid call of a job: what it asks, as text to be kept, and that as a priced request."""

    text: str
    request: Request


class Kind:
    """``name`` is what clients call it, ``limit`` the setting with the seconds that one attempt at
    such a job may take, ``at_once`` how many of its parts are asked at the same time."""

    name: str
    limit: str
    at_once = 1

    @property
    def seconds(self) -> float:
        return float(getattr(settings, self.limit))

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        """The paid calls that an input stands for.

        Raises ``BadInput`` naming the field within ``input``, and ``ModelNotFound``.
        """
        raise NotImplementedError

    def given(self, texts: Sequence[str]) -> Any:
        """The input whose parts have these texts: ``parts``, the other way round."""
        return orjson.loads(texts[0]) if texts else None

    def request(self, text: str, catalog: Catalog) -> Request:
        """A part's text, which ``parts`` has read, as a request again."""
        raise NotImplementedError

    def result(self, answers: Sequence[dict[str, Any]]) -> Any:
        """What the client gets: ``answers`` are ``{"state", "result", "error", "spent"}``, one for
        each part."""
        return answers[0]["result"] if answers else None


class FileKind(Kind):
    """A kind whose jobs are asked for with an uploaded file, which is kept until they end."""

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        raise BadInput("file: is required; send multipart/form-data.", param="file")

    def parts_of(self, given: Any, audio: Audio, catalog: Catalog) -> list[Part]:
        """As ``parts``, of an input and what its file is."""
        raise NotImplementedError

    def audio_of(self, text: str) -> Audio:
        """What a part's file is, by its text."""
        raise NotImplementedError

    def attach(self, request: Request, audio: Audio, file: bytes) -> None:
        """Give the file to a part's request, which is to be sent."""
        raise NotImplementedError


KINDS: dict[str, Kind] = {}

K = TypeVar("K", bound=type[Kind])


def kind(name: str, *, limit: str) -> Callable[[K], K]:
    """Register a kind under ``name``."""

    def register(cls: K) -> K:
        cls.name, cls.limit = name, limit
        KINDS[name] = cls()
        return cls

    return register


def text_of(value: Any) -> str:
    """An input as JSON. Raises ``BadInput`` for numbers and text that no JSON of ours holds."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise BadInput("holds a number, text or depth that can't be read.") from None


def place_in(where: str, error: FareboxError) -> None:
    """Say of an error about a part of the input, or a field of it, where that is."""
    if error.param is None:
        error.message, error.param = f"{where}: {error.message}", where
        return
    if error.message.startswith(error.param):
        error.message = f"{where}.{error.message}"
    error.param = f"{where}.{error.param}"
