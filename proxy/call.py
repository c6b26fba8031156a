"""One paid call while it is open: its phase, its meter, and its cost so far."""

import asyncio
import enum
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proxy.meter import Meter
from proxy.ratios import Ratios
from proxy.request import Request
from usage.limits import Limits
from usage.prices import Usage


class Cut(enum.Enum):
    """Why a call was ended from outside its own flow."""

    CLIENT_LEFT = "the client left"
    CLIENT_STALLED = "the client read too slowly"
    UPSTREAM_STALLED = "the provider sent nothing for too long"
    OVERDUE = "the call took too long"
    STOPPED = "the service is starting anew"


class Call:
    """A call between begin and finish.

    ``deadline`` is the loop time by which the phase it is in must end, ``overdue`` what it means
    when it does not; the context's watch looks at both once a second, so that a phase costs two
    assignments and no timer. ``task`` is the task to cancel. ``provider`` is who answers, once
    somebody does. ``absorbed`` is what attempts cost that came to nothing, microcredits: the
    operator's, and no part of what the user is charged. ``begun`` is when it was held for;
    ``carrier`` the client's trace context, while anybody traces.
    """

    __slots__ = (
        "absorbed", "begun", "carrier", "cut", "deadline", "first_event_at", "held", "id", "limits",
        "meter", "name", "overdue", "provider", "request", "sent", "spent", "started", "task",
        "until",
    )  # fmt: skip

    def __init__(self, call_id: uuid.UUID, request: Request, meter: Meter, total: float) -> None:
        self.identify(call_id)
        self.request = request
        self.meter = meter
        self.held = 0
        self.absorbed = 0
        self.spent: int | None = None
        self.limits: Limits | None = None
        self.started = time.monotonic()
        self.begun = self.started
        self.first_event_at: float | None = None
        self.carrier: Mapping[str, str] = {}
        self.sent = False
        self.provider: str | None = None
        self.cut: Cut | None = None
        self.task: asyncio.Task[Any] | None = None
        self.until = self.started + total
        self.deadline = self.until
        self.overdue = Cut.OVERDUE

    def identify(self, call_id: uuid.UUID) -> None:
        """Give it this id. ``name`` is the same as text: it is told often, and written once."""
        self.id = call_id
        self.name = str(call_id)

    def wait(self, seconds: float, overdue: Cut) -> None:
        """Enter a phase that may last so long."""
        self.deadline = time.monotonic() + seconds
        self.overdue = overdue

    def end_early(self, why: Cut) -> None:
        """Cancel the call's task, once."""
        if self.cut is None and self.task is not None and not self.task.done():
            self.cut = why
            self.task.cancel()

    def mark_first_event(self) -> None:
        if self.first_event_at is None:
            self.first_event_at = time.monotonic()

    @property
    def first_event_ms(self) -> int | None:
        if self.first_event_at is None:
            return None
        return int((self.first_event_at - self.started) * 1000)

    def absorb(self, meter: Meter, ratios: Ratios) -> None:
        """An attempt whose answer is not passed on is charged for by its provider, if it said
        anything."""
        if meter.events_seen and (meter.text_bytes or meter.input_known):
            usage, _ = self._usage(meter, ratios)
            self.absorbed += self.request.model.cost_rates.amount(usage)

    def usage(self, ratios: Ratios) -> tuple[Usage, bool]:
        """Tokens so far, and whether they are an estimate.

        What the provider has reported is taken as it is; output that it has not yet counted is
        estimated from the text that has passed, input that it never counted from the request's.
        """
        return self._usage(self.meter, ratios)

    def _usage(self, meter: Meter, ratios: Ratios) -> tuple[Usage, bool]:
        known = meter.tokens
        if meter.exact:
            return known, False
        model = self.request.model.name
        tokens_in, output = known.input, known.output
        if not meter.input_known:
            window = self.request.window
            tokens_in = ratios.input_tokens(model, self.request.text_bytes)
            tokens_in = min(tokens_in, window) if window else tokens_in
        if not meter.output_exact:
            output = max(output, ratios.output_tokens(model, meter.text_bytes, meter.text_events))
        return replace(known, input=tokens_in, output=output), True

    def checkpoint(self, ratios: Ratios) -> dict[str, Any] | None:
        """What is owed so far, or ``None`` while nothing has been delivered."""
        if not self.meter.events_seen:
            return None
        usage, _ = self.usage(ratios)
        model = self.request.model
        return {
            "charge": model.rates.amount(usage),
            "cost": model.cost_rates.amount(usage) + self.absorbed,
            "usage": usage.as_dict(),
        }
