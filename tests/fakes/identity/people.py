"""Somebody who has an account at a provider."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

_numbers = itertools.count(1001)


@dataclass
class Person:
    """May be changed at any time; the next answer about them says so.

    ``id`` is what a provider promises never to change. ``more`` are further addresses that GitHub
    knows of, each with whether it is verified.
    """

    email: str
    name: str
    verified: bool = True
    id: int = field(default_factory=lambda: next(_numbers))
    more: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def login(self) -> str:
        """GitHub's name for them."""
        return self.name.lower().replace(" ", "-")
