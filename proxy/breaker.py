"""Circuit breakers: what fails is left alone for a while, then tried again by one call.

    closed --fault--> open --time--> half open --success--> closed
                        ^                |
                        +-----fault------+

Pure: the time is handed in, seconds of ``time.monotonic``. Kept by process, never stored.

A breaker steers calls elsewhere and refuses none by itself: who has nowhere else to go may still
``enter`` an open one, so that one bad request, or one provider's hiccup, never stops a deployment
that has a single key.
"""

import enum

FAULTS_IN_A_ROW = 3
SHORTEST, LONGEST = 2.0, 60.0
# However long a provider asks to be left alone, it is tried again after an hour.
MOST_ASKED = 3600.0


class Fault(enum.Enum):
    """What an attempt failed of, and how much of a provider that says something about."""

    UNREACHABLE = "unreachable"  # the address: nobody could be connected to
    TROUBLE = "trouble"  # the key: 5xx, a time-out, an answer that broke off
    REFUSED = "refused"  # the key: it is not taken, or not paid for
    LIMITED = "limited"  # the key at one model: 429
    FORBIDDEN = "forbidden"  # the key at one model: it may not use it


_AT_ONCE = {Fault.UNREACHABLE, Fault.REFUSED, Fault.LIMITED, Fault.FORBIDDEN}
_LONG = {Fault.REFUSED, Fault.FORBIDDEN}


class Breaker:
    """One thing that can fail. ``name`` is what logs and metrics call it.

    ``enter`` gives a ticket, and results are reported with it: what was begun before the breaker
    last opened or closed says nothing about how it is now, and is not counted.
    """

    __slots__ = ("_faults", "_length", "_probing", "_turn", "name", "open_until", "why")

    def __init__(self, name: str) -> None:
        self.name = name
        self.open_until: float | None = None
        self.why: Fault | None = None
        self._faults = 0
        self._length = 0.0
        self._probing = False
        self._turn = 0

    @property
    def state(self) -> str:
        if self.open_until is None:
            return "closed"
        return "half_open" if self._probing else "open"

    def lets_through(self, now: float) -> bool:
        """Whether a call may go this way: closed, or open long enough and nobody is trying."""
        return self.open_until is None or (now >= self.open_until and not self._probing)

    def enter(self, now: float) -> int:
        """Go this way; of an open one, as its probe when it is time for that. Answers a ticket, of
        which a probe's is negative."""
        if self.lets_through(now) and self.open_until is not None:
            self._probing = True
            return ~self._turn
        return self._turn

    def succeed(self, ticket: int) -> bool:
        """It works. Answers whether that has closed it."""
        if ticket not in (self._turn, ~self._turn):
            return False
        self._faults = 0
        if self.open_until is None:
            return False
        self._turn += 1
        self.open_until, self.why, self._length, self._probing = None, None, 0.0, False
        return True

    def fail(
        self, ticket: int, fault: Fault, now: float, retry_after: float | None = None
    ) -> float | None:
        """It does not work. Answers for how many seconds that has opened it; ``None``: not yet."""
        if ticket not in (self._turn, ~self._turn):
            return None
        self._faults += 1
        if self.open_until is None and fault not in _AT_ONCE and self._faults < FAULTS_IN_A_ROW:
            return None
        self._length = LONGEST if fault in _LONG else min(max(self._length * 2, SHORTEST), LONGEST)
        seconds = self._length
        if retry_after is not None:
            seconds = min(max(retry_after, 1.0), MOST_ASKED)
        self._turn += 1
        self._faults, self._probing = 0, False
        self.open_until, self.why = now + seconds, fault
        return seconds

    def leave(self, ticket: int) -> None:
        """The attempt ended without saying anything: its client left, or its request was wrong."""
        if ticket == ~self._turn:
            self._probing = False
