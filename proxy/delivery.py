"""How an answer reaches the client: as the provider gave it, or told in another shape.

Pure: bytes in, bytes out. ``spent`` is in microcredits, and ``None`` while it is not known.
"""

from typing import ClassVar

import orjson

from common.errors import FareboxError
from proxy import errors
from proxy.meter import Meter, ResponsesMeter


class Delivery:
    """Passes on what comes, byte for byte.

    ``shape`` is whose shape errors have, empty for the provider's own protocol's. ``cut``: an
    answer that broke off is cut, since the protocol's clients take a clean end for success.
    """

    shape: ClassVar[str] = ""
    cut: ClassVar[bool] = True

    def __init__(self, meter: Meter, call_id: str, shape: str) -> None:
        self.meter = meter
        self.call_id = call_id
        self._shape = shape

    def content_type(self, given: str) -> bytes:
        """The type of a stream that the provider calls ``given``."""
        return given.encode("latin-1")

    def pass_on(self, events: bytes) -> bytes:
        """What the client gets for whole events that the meter has seen."""
        return events

    def split_end(self, events: bytes) -> tuple[bytes, bytes]:
        """The last of what is passed on, in two: what is sent before the call is booked, and what
        tells the client that the answer is whole."""
        return self.meter.split_end(events)

    def end(self, held_back: bytes, spent: int | None) -> bytes:
        """What is sent once the call is booked."""
        return held_back

    def whole(self, body: bytes, spent: int | None) -> bytes:
        """An answer that is not streamed."""
        return body

    def broken(self, error: FareboxError) -> bytes:
        """The last words of an answer that broke off."""
        return errors.event(error, self._shape, self.call_id)


class ResponsesDelivery(Delivery):
    """A Responses stream fails in two events: ``error``, and ``response.failed``."""

    def broken(self, error: FareboxError) -> bytes:
        meter = self.meter
        assert isinstance(meter, ResponsesMeter)
        told = errors.shape(error, "openai", self.call_id)["error"]
        words = {name: told[name] for name in ("code", "message", "param")}
        number = meter.next_number
        # ``error`` twice, as the reference has it and as OpenAI sends it: SDKs look for either.
        first = {"type": "error", **words, "sequence_number": number, "error": told}
        response = {
            "id": f"resp_{self.call_id}",
            "object": "response",
            **meter.response,
            "status": "failed",
            "error": {"code": "server_error", "message": error.message},
            "incomplete_details": None,
            "output": [],
            "usage": None,
        }
        last = {"type": "response.failed", "sequence_number": number + 1, "response": response}
        return _event("error", first) + _event("response.failed", last)


def _event(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(value) + b"\n\n"
