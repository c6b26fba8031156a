"""The events a client of ``/ai-proxy`` gets, whichever protocol the model speaks."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson

from common.errors import FareboxError, UpstreamError, openai_shape
from common.money import format_credits
from proxy import sse
from proxy.delivery import Delivery

Event = dict[str, Any]

# A tool call is told when it is whole; what is kept until then has a bound, characters.
_MOST_ARGUMENTS = 2**20
_PING = b": ping\n\n"


class Telling(Delivery):
    """Tells an answer as ``text``, ``tool_call``, ``usage``, ``done`` and ``error`` events.

    A stream that is whole ends with ``done``, so one without it needs no cut: browsers drop what
    they have not yet handed to the page when a connection breaks.
    """

    shape: ClassVar[str] = "openai"
    cut: ClassVar[bool] = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.finish = "other"
        self._calls: dict[Any, dict[str, Any]] = {}
        self._kept = 0

    def content_type(self, given: str) -> bytes:
        return b"text/event-stream; charset=utf-8"

    def pass_on(self, events: bytes) -> bytes:
        """Raises ``UpstreamError`` when a tool call grows past all bounds."""
        told: list[bytes] = []
        for event in sse.split(events):
            value = _json(sse.data(event))
            if isinstance(value, dict):
                told += [_event(one) for one in self._read(value)]
            elif event.startswith(b":"):
                told.append(_PING)
        if self._kept > _MOST_ARGUMENTS:
            raise UpstreamError("The model's tool call is too long.", should_retry=False)
        return b"".join(told)

    def split_end(self, events: bytes) -> tuple[bytes, bytes]:
        return events, b""

    def end(self, held_back: bytes, spent: int | None) -> bytes:
        told = [*self._calls_made()]
        if self.meter.exact:
            told.append({"type": "usage", **self._usage()})
        told.append({"type": "done", **self._done(spent)})
        return b"".join(map(_event, told))

    def whole(self, body: bytes, spent: int | None) -> bytes:
        answer = _json(body)
        told = list(self._read_whole(answer)) if isinstance(answer, dict) else []
        told += self._calls_made()
        calls = [one for one in told if one["type"] == "tool_call"]
        return orjson.dumps(
            {
                "text": "".join(one["text"] for one in told if one["type"] == "text"),
                "tool_calls": [{n: v for n, v in one.items() if n != "type"} for one in calls],
                "usage": self._usage() if self.meter.exact else None,
                **self._done(spent),
            }
        )

    def broken(self, error: FareboxError) -> bytes:
        return _event({"type": "error", **openai_shape(error)})

    @abstractmethod
    def _read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """What an event of the provider's tells."""

    @abstractmethod
    def _read_whole(self, answer: Mapping[str, Any]) -> Iterator[Event]:
        """What an answer tells that is not streamed."""

    def _text(self, text: Any) -> Iterator[Event]:
        if isinstance(text, str) and text:
            yield {"type": "text", "text": text}

    def _add_call(self, place: Any, call_id: Any = None, name: Any = None) -> None:
        """A call of a tool begins, or says more of itself."""
        call = self._calls.setdefault(place, {"id": "", "name": "", "arguments": []})
        for field, value in (("id", call_id), ("name", name)):
            if isinstance(value, str) and value:
                call[field] = value

    def _add_arguments(self, place: Any, text: Any) -> None:
        if not isinstance(text, str):
            return
        self._kept += len(text)
        self._add_call(place)
        self._calls[place]["arguments"].append(text)

    def _calls_made(self) -> Iterator[Event]:
        """The calls that are whole now. Where the answer was cut off, the last of them is not."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            raw = "".join(call["arguments"])
            arguments = _json(raw.encode(errors="replace")) if raw else {}
            told: Event = {"type": "tool_call", "id": call["id"], "name": call["name"]}
            if isinstance(arguments, dict):
                yield told | {"arguments": arguments}
            elif self.finish != "length":
                yield told | {"arguments": None, "raw": raw}

    def _usage(self) -> Event:
        tokens = self.meter.tokens
        return {
            "input_tokens": tokens.input,
            "cached_tokens": tokens.cached,
            "output_tokens": tokens.output,
            "reasoning_tokens": tokens.reasoning,
        }

    def _done(self, spent: int | None) -> Event:
        return {
            "finish": self.finish,
            "call": self.call_id,
            "spent": None if spent is None else format_credits(spent),
        }


def _event(value: Event) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
