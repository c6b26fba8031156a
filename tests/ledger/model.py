"""The books in plain Python: what the verbs must do, said a second time and more simply.

No clock: a lot's ``due`` is the number of days until its date, and ``sort`` only ranks. Amounts
are whole microcredits. A refusal is raised as ``Refused`` with the name of the error.
"""

from dataclasses import dataclass, field


class Refused(Exception):
    """The verb must raise the error of this name."""


@dataclass
class Lot:
    """``place`` is its age; ``days`` until it is due, negative when it is, ``None`` for never."""

    place: int
    kind: str
    amount: int
    priority: int
    days: float | None
    remaining: int = 0
    revoked: int = 0
    lapsed: int = 0

    def __post_init__(self):
        self.remaining = self.amount

    @property
    def rank(self):
        return self.priority, self.days is None, self.days or 0, self.place


@dataclass
class Taken:
    """What a capture drew, and how much of it went back."""

    drawn: list[tuple[Lot, int]]
    refunded: int = 0

    @property
    def amount(self):
        return sum(part for _, part in self.drawn)


@dataclass
class Wallet:
    lots: list[Lot] = field(default_factory=list)
    holds: dict[object, int] = field(default_factory=dict)  # the open ones
    owed: int = 0
    left: list[tuple[Lot, int]] = field(default_factory=list)  # by the last look

    @property
    def posted(self):
        return sum(lot.remaining for lot in self.lots)

    @property
    def held(self):
        return sum(self.holds.values())

    @property
    def available(self):
        return self.posted - self.held

    # What every verb begins with.
    def look(self):
        """Due lots leave, but for what open holds would draw from them."""
        kept = self.held
        self.left = []
        for lot in sorted(self.lots, key=lambda lot: lot.rank):
            protected = min(lot.remaining, kept)
            kept -= protected
            if lot.days is not None and lot.days < 0:
                self.left.append((lot, lot.remaining - protected))
                lot.lapsed += lot.remaining - protected
                lot.remaining = protected

    def look_away(self):
        """A refusal undoes all that its verb did, the look included."""
        for lot, amount in self.left:
            lot.lapsed -= amount
            lot.remaining += amount
        self.left = []

    def draw(self, amount):
        drawn = []
        for lot in sorted(self.lots, key=lambda lot: lot.rank):
            part = min(lot.remaining, amount)
            if part:
                lot.remaining -= part
                amount -= part
                drawn.append((lot, part))
        assert amount == 0
        return drawn

    def settle(self):
        paid = min(self.owed, self.available)
        self.draw(paid)
        self.owed -= paid

    def add(self, kind, amount, priority, days):
        lot = Lot(len(self.lots), kind, amount, priority, days)
        self.lots.append(lot)
        return lot

    def grant(self, kind, amount, priority, days):
        self.look()
        lot = self.add(kind, amount, priority, days)
        self.settle()
        return lot

    def hold(self, amount, minimum):
        """How much is held; the caller files it in ``holds``."""
        self.look()
        if self.owed:
            raise Refused("WalletFrozen")
        if self.available < min(amount, minimum):
            raise Refused("InsufficientCredits")
        return min(amount, self.available)

    def end(self, hold, amount):
        """(taken, returned, written off, what was drawn)."""
        if hold not in self.holds:
            self.left = []
            raise Refused("AlreadyEnded")
        self.look()
        held = self.holds[hold]
        most = held if self.owed else held + self.available
        del self.holds[hold]
        drawn = self.draw(min(amount, most))
        taken = sum(part for _, part in drawn)
        self.settle()
        return taken, max(held - taken, 0), amount - taken, Taken(drawn)

    def refund(self, taken, amount, days_again):
        self.look()
        if amount > taken.amount - taken.refunded:
            raise Refused("BadInput")
        skip, left = taken.refunded, amount
        for lot, drawn in reversed(taken.drawn):
            part = min(max(drawn - skip, 0), left)
            skip = max(skip - drawn, 0)
            left -= part
            if part:
                days = lot.days
                if days is not None and days < 30:
                    days = days_again()
                self.add("refund", part, lot.priority, days)
        taken.refunded += amount
        self.settle()

    def revoke(self, lot, amount):
        """(taken, lapsed, receivable)."""
        self.look()
        if amount > lot.amount - lot.revoked:
            raise Refused("BadInput")
        own = min(amount, lot.remaining, self.available)
        lot.remaining -= own
        lapsed = min(amount - own, lot.lapsed)
        lot.lapsed -= lapsed
        other = min(amount - own - lapsed, self.available)
        self.draw(other)
        lot.revoked += amount
        owed = amount - own - lapsed - other
        self.owed += owed
        return own + other, lapsed, owed
