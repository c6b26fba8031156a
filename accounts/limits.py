"""Who calls from where, and how often: limits of ``/api/`` and of the provider's endpoints.

Counted in Valkey by the ``limits`` library: a sliding window, one round trip, one script that
nobody can come between. Somebody known counts by user, whatever they call with; anybody else, and
whoever shows a credential that does not hold, by address. What keeps guessers out is the length of
keys, tokens and tickets; what is bounded here is their noise. Sign-in itself is limited by
allauth, see ``config.people``.

While Valkey is away these limits let everybody through, and say so in the log: a paying user is
not turned away because a counter is missing. Sign-in does the opposite (``SignInsNeedValkey``).
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import cache, wraps
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import ceil
from typing import TYPE_CHECKING, Any

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage as AsyncRedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter as AsyncSlidingWindow
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from common import drf, errors

if TYPE_CHECKING:  # DRF's views load this module by setting, while they are being loaded
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)

Address = IPv4Address | IPv6Address
NOWHERE = IPv4Address("0.0.0.0")  # what came over a UNIX socket
VALKEY_SECONDS = 0.5
_PREFIX = "limits"
COUNTED = "farebox.counted"  # in the scope of a request that ``Counter`` has counted by its user


def client_address(request: HttpRequest) -> Address:
    """The address of whoever calls: one rule for limits, the allowance and the lists shown."""
    meta = request.META
    return address_of(meta.get("HTTP_X_FORWARDED_FOR", ""), meta.get("REMOTE_ADDR", ""))


def address_of(forwarded: str, peer: str) -> Address:
    """The address of whoever calls, of ``X-Forwarded-For`` and the connection's other end.

    ``TRUSTED_PROXY_COUNT`` proxies of our own each added one entry to ``X-Forwarded-For``; the
    first of these, counted from the right, is the caller. Everything left of it was the caller's
    to write and is not looked at. With too few entries, or one that is no address, the connection's
    own address counts: a forged header can make callers share a limit, never escape one.
    """
    trusted = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    entries = forwarded.split(",")
    told = _address(entries[-trusted]) if 0 < trusted <= len(entries) else None
    return told or _address(peer) or NOWHERE


def _address(text: str) -> Address | None:
    """An address, with a port or without; IPv4 written as IPv6 is the IPv4 address it means."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def network_of(address: Address, *, ipv4: int = 32, ipv6: int = 64) -> str:
    """The network around an address. One household has an IPv6 /64, so that counts as one."""
    length = ipv4 if address.version == 4 else ipv6
    return str(ip_network((address, length), strict=False))


def hit(rate: str, *who: str) -> int:
    """Count one call of ``who`` against ``rate`` (such as ``600/minute``).

    Answers 0 when it is within the rate, otherwise for how many seconds to wait. What is refused
    is not counted. Let through while Valkey is away.
    """
    item = _parsed(rate)
    try:
        limiter = _limiter(settings.REDIS_URL)
        if limiter.hit(item, *who):
            return 0
        return max(1, ceil(limiter.get_window_stats(item, *who).reset_time - time.time()))
    except redis.RedisError as error:
        logger.error("limits are not counted: Valkey is away", extra={"error": str(error)})
        return 0


@cache
def _parsed(rate: str) -> RateLimitItem:
    return parse(rate)


@cache
def _limiter(url: str) -> SlidingWindowCounterRateLimiter:
    options: Any = {
        "socket_timeout": VALKEY_SECONDS,
        "socket_connect_timeout": VALKEY_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    if url.startswith("unix://"):
        url = f"redis+{url}"
    return SlidingWindowCounterRateLimiter(RedisStorage(url, key_prefix=_PREFIX, **options))


class Counter:
    """``hit`` for an event loop, on the same counters."""

    def __init__(self) -> None:
        url = settings.REDIS_URL
        if url.startswith("unix://"):
            url = f"redis+{url}"
        self._storage = AsyncRedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix=_PREFIX,
            socket_timeout=VALKEY_SECONDS,
            socket_connect_timeout=VALKEY_SECONDS,
            retry=AsyncRetry(NoBackoff(), 0),  # type: ignore[arg-type]
        )
        self._limiter = AsyncSlidingWindow(self._storage)

    async def hit(self, rate: str, *who: str) -> int:
        """As ``hit``."""
        item = _parsed(rate)
        try:
            if await self._limiter.hit(item, *who):
                return 0
            stats = await self._limiter.get_window_stats(item, *who)
            return max(1, ceil(stats.reset_time - time.time()))
        except redis.RedisError as error:
            logger.error("limits are not counted: Valkey is away", extra={"error": str(error)})
            return 0

    async def close(self) -> None:
        await self._storage.bridge.get_connection().aclose()  # type: ignore[attr-defined]


def hit_by_address(request: HttpRequest) -> int:
    """Count a call against its address; as ``hit``."""
    return hit(settings.API_RATE_ADDRESS, "address", network_of(client_address(request)))


class CallerThrottle(BaseThrottle):
    """DRF's throttle for all of ``/api/``: by user if there is one, otherwise by address."""

    waiting = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if getattr(request._request, "scope", {}).get(COUNTED):
            return True
        if request.user and request.user.is_authenticated:
            self.waiting = hit(settings.API_RATE_USER, "user", str(request.user.pk))
        else:
            self.waiting = hit_by_address(request._request)
        return self.waiting == 0

    def wait(self) -> float:
        return self.waiting


class ServiceThrottle(BaseThrottle):
    """Of service keys: each has calls of its own, whoever owns it, and more than people have."""

    waiting = 0

    def allow_request(self, request: Request, view: "APIView") -> bool:
        self.waiting = hit(settings.SERVICE_RATE_KEY, "service", str(request.auth.pk))
        return self.waiting == 0

    def wait(self) -> float:
        return self.waiting


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> JsonResponse:
    """DRF's ``EXCEPTION_HANDLER``: the contract's, and a 401 counts against its address.

    DRF asks for permissions before it asks throttles, so they never see who failed.
    """
    response = drf.exception_handler(exc, context)
    request = context.get("request")
    if response.status_code == 401 and request is not None:
        waiting = hit_by_address(request._request)
        if waiting:
            return drf.answer(
                errors.RateLimited(
                    "Too many calls without a valid credential from your address; "
                    "check the API key or token, and try again later.",
                    retry_after=waiting,
                )
            )
    return response


View = Callable[..., HttpResponse]


def by_address(view: View) -> View:
    """A view of the OIDC provider that answers each address no more often than
    ``API_RATE_ADDRESS`` says; past it 429 in OAuth's shape (RFC 6749, section 5.2)."""

    @wraps(view)
    def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if waiting := hit_by_address(request):
            body = {
                "error": "temporarily_unavailable",
                "error_description": "Too many requests from your address; try again later.",
            }
            headers = {"Retry-After": str(min(waiting, 60)), "Cache-Control": "no-store"}
            return JsonResponse(body, status=429, headers=headers)
        return view(request, *args, **kwargs)

    return limited


class SignInsNeedValkey:
    """While Valkey is away, what can't be counted is refused: 503, and no sign-in goes through.

    allauth keeps its limits in the cache. Letting guesses at passwords and codes through uncounted
    would be worse than a sign-in that has to be tried again.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        if not isinstance(exc, redis.ConnectionError | redis.TimeoutError | errors.Unavailable):
            return None
        return away(request, exc)


def away(request: HttpRequest, cause: Exception) -> HttpResponse:
    """The 503 of what needs Valkey, in the shape of the address that was asked."""
    logger.error(
        "refused: Valkey is away",
        extra={"path": request.path_info, "error": type(cause).__name__},
    )
    error = errors.Unavailable("This can't be served now; try again shortly.", retry_after=5)
    if request.path_info.startswith("/_allauth/"):
        return JsonResponse({"status": 503}, status=503, headers=error.headers)
    if request.path_info.startswith("/api/"):
        return drf.answer(error)
    page = render(None, "error.html", {"error": error}, status=503)
    for name, value in error.headers.items():
        page[name] = value
    return page
