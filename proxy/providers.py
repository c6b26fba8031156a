"""Who can answer a model: its providers in order, their keys, and which of them work now.

A table of the server's, never of the request's. It is made anew with every reading of the tables
(``refresh``); the breakers stay with the keys they are about.
"""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from common.errors import ModelNotFound
from proxy import metrics
from proxy.breaker import Breaker, Fault
from proxy.upstream import Provider
from usage.catalog import PricedModel, Route
from usage.providers import Configured, Key

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One key of one provider, at one model. ``breakers``: of the address, the key, and the key at
    this model. ``key`` is the key's label."""

    provider: Provider
    upstream_name: str
    weight: int
    breakers: tuple[Breaker, Breaker, Breaker]
    key: str = ""

    def is_open(self, now: float) -> bool:
        """Whether calls may go this way now."""
        return all(breaker.lets_through(now) for breaker in self.breakers)

    def free_at(self) -> float:
        """When it is tried again, if nothing else happens."""
        return max(breaker.open_until or 0.0 for breaker in self.breakers)


_CONCERNS = {
    Fault.UNREACHABLE: 0, Fault.TROUBLE: 1, Fault.REFUSED: 1, Fault.LIMITED: 2, Fault.FORBIDDEN: 2,
}  # fmt: skip


class Attempt:
    """One call on one way; tell it how that went, once."""

    __slots__ = ("_tickets", "way")

    def __init__(self, way: Way, now: float) -> None:
        self.way = way
        self._tickets = [breaker.enter(now) for breaker in way.breakers]

    def succeeded(self) -> None:
        """The first event, or the whole answer, is here."""
        metrics.upstream_answered(self.way.provider.name, self.way.key)
        for breaker, ticket in zip(self.way.breakers, self._tickets, strict=True):
            if breaker.succeed(ticket):
                log.info("provider serves again", breaker=breaker.name)

    def failed(self, fault: Fault, retry_after: float | None = None) -> None:
        """The provider's fault. What lies before the part at fault has worked."""
        metrics.upstream_failed(self.way.provider.name, self.way.key, fault.value)
        place = _CONCERNS[fault]
        for breaker, ticket in zip(self.way.breakers[:place], self._tickets[:place], strict=True):
            if breaker.succeed(ticket):
                log.info("provider serves again", breaker=breaker.name)
        breaker = self.way.breakers[place]
        seconds = breaker.fail(self._tickets[place], fault, time.monotonic(), retry_after)
        if seconds is not None:
            log.warning(
                "provider set aside", breaker=breaker.name, why=fault.value, seconds=round(seconds)
            )
        for breaker, ticket in zip(
            self.way.breakers[place + 1 :], self._tickets[place + 1 :], strict=True
        ):
            breaker.leave(ticket)

    def ended(self) -> None:
        """It says nothing about the provider."""
        for breaker, ticket in zip(self.way.breakers, self._tickets, strict=True):
            breaker.leave(ticket)


class Choice:
    """The ways a call may take, and those it has taken. ``next`` gives one after the other."""

    __slots__ = ("_addresses", "_groups", "_left", "_taken")

    def __init__(self, groups: Sequence[Sequence[Way]], most: int) -> None:
        self._groups = groups
        self._left = most
        self._taken: list[Way] = []
        self._addresses: set[str] = set()  # that could not be reached

    @property
    def ways(self) -> Iterator[Way]:
        return (way for group in self._groups for way in group)

    def next(self) -> Attempt | None:
        """The next attempt: the first provider that has a key which works, one of its keys by
        weight. The first attempt is always given: with every breaker open, on the way whose
        breaker waits the shortest. ``None`` when nothing is left to try."""
        if not self._left:
            return None
        now = time.monotonic()
        for group in self._groups:
            if len(group) == 1 and not self._taken:  # the usual case
                found = group if group[0].is_open(now) else ()
            else:
                found = [way for way in group if self._may_take(way) and way.is_open(now)]
            if found:
                return self._take(found[0] if len(found) == 1 else _by_weight(found), now)
        if self._taken:
            return None
        return self._take(min(self.ways, key=Way.free_at), now)

    def unreachable(self, attempt: Attempt) -> None:
        """Nobody is at this address: its other keys need not be tried."""
        self._addresses.add(attempt.way.provider.base_url)

    def retry_after(self) -> int | None:
        """Seconds until the first of several ways is tried again; ``None`` where there is but one,
        or one that works."""
        waits = [way.free_at() for way in self.ways]
        soonest = min(waits)
        if len(waits) < 2 or not soonest:
            return None
        return max(1, min(60, round(soonest - time.monotonic())))

    def _may_take(self, way: Way) -> bool:
        return way not in self._taken and way.provider.base_url not in self._addresses

    def _take(self, way: Way, now: float) -> Attempt:
        self._taken.append(way)
        self._left -= 1
        return Attempt(way, now)


def _by_weight(ways: Sequence[Way]) -> Way:
    return random.choices(ways, [way.weight for way in ways])[0]


class Providers:
    """The providers a process knows."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, list[tuple[Key, Provider]]]] = {}
        self._breakers: dict[tuple[Any, ...], Breaker] = {}
        self._groups: dict[tuple[str, tuple[Route, ...], str], list[list[Way]]] = {}

    def refresh(self, configured: Iterable[Configured]) -> None:
        """Take what the tables say now. The breakers of what is gone go with it."""
        self._groups = {}
        self._known = {
            one.name: (one.kind, [(key, provider_of(one, key)) for key in one.keys or (_NO_KEY,)])
            for one in configured
        }
        kept = {
            part
            for _, keys in self._known.values()
            for key, provider in keys
            for part in (provider.base_url, _identity(key, provider))
        }
        self._breakers = {
            about: breaker for about, breaker in self._breakers.items() if about[1] in kept
        }

    def choice(self, model: PricedModel, protocol: str, most: int) -> Choice:
        """The ways to ask ``model`` in ``protocol``, of which at most so many are to be tried.

        Raises ``ModelNotFound`` when there is none.
        """
        asked = (model.name, model.routes, protocol)
        groups = self._groups.get(asked)
        if groups is None:
            groups = self._groups[asked] = self._make_groups(model, protocol)
        if not groups:
            raise ModelNotFound("The provider of this model has no key here.", param="model")
        return Choice(groups, most)

    def first(self, kind: str) -> Provider | None:
        """A provider that speaks ``kind``, with a key of it; ``None`` when there is none."""
        return next((keys[0][1] for found, keys in self._known.values() if found == kind), None)

    def states(self) -> dict[str, str]:
        """Every breaker that there is, by name, and its state."""
        return {breaker.name: breaker.state for breaker in self._breakers.values()}

    def _make_groups(self, model: PricedModel, protocol: str) -> list[list[Way]]:
        groups = []
        for route in model.routes or (Route(model.provider),):
            kind, keys = self._known.get(route.provider, ("", []))
            if kind in {protocol, "demo"}:
                groups.append([self._way(*key, route, model.name) for key in keys])
        return groups

    def _way(self, key: Key, provider: Provider, route: Route, model: str) -> Way:
        identity = _identity(key, provider)
        name = f"{provider.name}/{key.label}" if key.label else provider.name
        breakers = (
            self._breaker(("address", provider.base_url), provider.name),
            self._breaker(("key", identity), name),
            self._breaker(("model", identity, model), f"{name}/{model}"),
        )
        return Way(provider, route.upstream_name, key.weight, breakers, key.label)

    def _breaker(self, about: tuple[Any, ...], name: str) -> Breaker:
        found = self._breakers.get(about)
        if found is None:
            found = self._breakers[about] = Breaker(name)
        return found


_NO_KEY = Key(0, "", 1, "")


def _identity(key: Key, provider: Provider) -> tuple[str, int, int]:
    """A key as it is now: entered anew, it is another, of which nothing bad is known."""
    return provider.base_url, key.id, hash(key.secret)


def provider_of(one: Configured, key: Key) -> Provider:
    """Where calls with this key go, and with which headers."""
    headers = {"content-type": "application/json"}
    passed_on: tuple[bytes, ...] = ()
    if one.kind == "anthropic":
        headers |= {"x-api-key": key.secret, "anthropic-version": "2023-06-01"}
        passed_on = (b"anthropic-version", b"anthropic-beta")
    elif one.kind == "openai":
        headers["authorization"] = f"Bearer {key.secret}"
    return Provider(
        name=one.name,
        kind=one.kind,
        base_url=one.base_url,
        headers=headers,
        passed_on=passed_on,
        drains=one.drains,
        output_field=one.output_field,
        asks_usage=one.asks_usage,
    )
