"""How often an address may come without being let through, before anything is looked up.

Counted in the process, without a round trip: what this keeps away is the noise of those who guess
at keys or hammer on a closed door, so that it costs neither the database nor Valkey anything. How
often a user may call is their plan's to say, exactly, in ``begin``. So each process counts for
itself, and a deployment of several lets through that many times the rate at most.
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import ceil
from typing import Any

from limits import parse

from accounts.limits import address_of, network_of
from common.errors import RateLimited

# Addresses remembered by one generation of a bucket; two are kept.
_MOST = 20_000
# Bytes of X-Forwarded-For that are looked at: ten addresses (TRUSTED_PROXY_COUNT) are shorter.
_LONGEST = 1_024


class Buckets:
    """A leaky bucket (GCRA, as in ``usage_begin``) for each of many callers, in bounded memory.

    ``rate`` is such as ``600/minute``: a burst of that many, refilled evenly. Callers are kept in
    two generations of ``most`` at most: when the young one is full, the old one is dropped. Who is
    dropped starts afresh, so that somebody with very many addresses can make others be forgotten,
    which lets more through and refuses nobody wrongly.
    """

    def __init__(
        self, rate: str, *, most: int = _MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        item = parse(rate)
        self._window = float(item.get_expiry())
        self._gap = self._window / item.amount
        self._most = most
        self._clock = clock
        # When each caller's bucket will be empty again, by the clock.
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def take(self, caller: str) -> int:
        """Count one. Answers 0 when it is within the rate, otherwise for how many seconds to
        wait; what is refused is not counted."""
        now = self._clock()
        empty = max(self._known(caller), now) + self._gap
        over = empty - now - self._window
        if over > 1e-6:
            return max(1, ceil(over))
        self._keep(caller, empty)
        return 0

    def give_back(self, caller: str) -> None:
        """One that was taken does not count after all."""
        known = self._known(caller)
        if known > self._clock():
            self._keep(caller, known - self._gap)

    def _keep(self, caller: str, empty: float) -> None:
        if caller not in self._young and len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[caller] = empty

    def _known(self, caller: str) -> float:
        found = self._young.get(caller)
        return self._old.get(caller, 0.0) if found is None else found


class AddressLimit:
    """``Buckets`` by the address that a request comes from, ``PROXY_RATE_ADDRESS`` each.

    Loopback is not counted: it is the operator's own, or a proxy in front that
    ``TRUSTED_PROXY_COUNT`` does not know of, and behind that everybody would share one bucket.
    """

    def __init__(self, rate: str, *, behind_proxies: bool) -> None:
        self._buckets = Buckets(rate)
        self._behind_proxies = behind_proxies

    def enter(self, scope: Mapping[str, Any]) -> str | None:
        """Count a request; answers whose it is, for ``let_through``. Raises ``RateLimited``."""
        peer = scope.get("client")
        forwarded = _forwarded(scope) if self._behind_proxies else b""
        network = _network(forwarded, peer[0] if peer else "")
        if network is None:
            return None
        if waiting := self._buckets.take(network):
            raise RateLimited(
                "Too many calls from your address that were not let through; check the API key "
                "or token, and what the refusals said, and try again later.",
                retry_after=waiting,
            )
        return network

    def let_through(self, network: str | None) -> None:
        """The caller has shown who it is: its plan limits it from here, not its address."""
        if network is not None:
            self._buckets.give_back(network)


def _forwarded(scope: Mapping[str, Any]) -> bytes:
    """The right end of ``X-Forwarded-For``, all its lines joined as Django joins them. The entries
    of our own proxies are there; what a client wrote before them may be long."""
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return b",".join(lines)[-_LONGEST:]


@lru_cache(maxsize=4096)
def _network(forwarded: bytes, peer: str) -> str | None:
    """The network that counts as one caller; ``None`` for loopback, and for a UNIX socket."""
    address = address_of(forwarded.decode("latin-1"), peer)
    if address.is_loopback or address.is_unspecified:
        return None
    return network_of(address)
