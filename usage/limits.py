"""What a plan's limits leave, and how answers tell it.

``RateLimit-Policy`` and ``RateLimit`` after draft-ietf-httpapi-ratelimit-headers-11 (May 2026): a
list of named policies (``q`` the quota, ``w`` its window in seconds, ``qu`` its unit where that is
not requests), and what each leaves (``r``; after ``t`` seconds without a call it is whole again).
A limit that the plan does not have is not told.
"""

from dataclasses import dataclass

from common.errors import RateLimited

MINUTE = 60
_MICROSECONDS = 1_000_000
_SLACK = 1_000  # microseconds that usage_begin grants a request


@dataclass(frozen=True, slots=True)
class Limits:
    """A plan's limits as ``usage_begin`` leaves them (``usage__limits``); ``None``: no such limit.

    ``ahead`` is by how many microseconds the requests made so far are ahead of an even pace;
    ``open_now`` the calls that are open; ``tokens_left`` what is neither used nor set aside. These
    are ``None`` where a refusal came before they were looked at.
    """

    requests_per_minute: int | None
    ahead: int | None
    open_calls: int | None
    open_now: int | None
    tokens_per_minute: int | None
    tokens_left: int | None

    def policies(self) -> str:
        """``RateLimit-Policy``."""
        told = []
        if self.requests_per_minute is not None:
            told.append(f'"requests";q={self.requests_per_minute};w={MINUTE}')
        if self.tokens_per_minute is not None:
            told.append(f'"tokens";q={self.tokens_per_minute};qu="tokens";w={MINUTE}')
        if self.open_calls is not None:
            told.append(f'"calls";q={self.open_calls};qu="concurrent-requests"')
        return ", ".join(told)

    def left(self, *, broken: str = "", wait: int = 0) -> str:
        """``RateLimit``. Of a limit that was ``broken``, ``t`` is how many seconds to wait."""
        told = []
        if (most := self.requests_per_minute) is not None:
            minute, ahead = MINUTE * _MICROSECONDS, self.ahead or 0
            left = max(0, (minute + _SLACK - ahead) * most // minute)
            after = wait if broken == "requests" else -(-ahead // _MICROSECONDS)
            told.append(f'"requests";r={left};t={after}')
        if (most := self.tokens_per_minute) is not None and self.tokens_left is not None:
            left = max(0, self.tokens_left)
            after = wait if broken == "tokens" else -((left - most) * MINUTE // most)
            told.append(f'"tokens";r={left};t={after}')
        if self.open_calls is not None and self.open_now is not None:
            told.append(f'"calls";r={max(0, self.open_calls - self.open_now)}')
        return ", ".join(told)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """What an answer that was let through carries."""
        return [
            (b"ratelimit-policy", self.policies().encode()),
            (b"ratelimit", self.left().encode()),
        ]


def read(row: list[int] | None) -> Limits | None:
    """``usage__limits``' answer."""
    return Limits(*row) if row else None


class OverLimit(RateLimited):
    """A limit of the plan is used up: ``policy`` by its name in ``RateLimit-Policy``."""

    def __init__(self, message: str, *, retry_after: int, policy: str, limits: Limits) -> None:
        super().__init__(message, retry_after=retry_after)
        self.policy = policy
        self.limits = limits

    @property
    def headers(self) -> dict[str, str]:
        said = super().headers
        wait = int(said["retry-after"])
        return said | {
            "ratelimit-policy": self.limits.policies(),
            "ratelimit": self.limits.left(broken=self.policy, wait=wait),
        }
