"""Tickets: what opens the account's socket, since a browser can send it no header.

A ticket is 256 bits of randomness in the socket's address. It counts once, for half a minute, and
only as long as the credential does that it was made with. Valkey keeps no more than its SHA-256
and, encrypted, that credential.
"""

import asyncio
import hashlib
import json
import re
import secrets
from functools import cache
from weakref import WeakKeyDictionary

import redis
from django.conf import settings
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts import crypto
from accounts.access import Credential
from common.errors import Unavailable

SECONDS = 30
WAIT_SECONDS = 2

# Who asks again because an answer was lost on its way gets the same one: KEYS[2] keeps by whom the
# ticket was spent. Both keys go when the ticket would have expired.
_SPEND = """
local kept = redis.call('GET', KEYS[1])
if not kept then return false end
local by = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'GET', 'EX', ARGV[2])
if by and by ~= ARGV[1] then return false end
return kept
"""

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
_AWAY = "The service can't reach its memory of tickets; try again shortly."
_async_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, aioredis.Redis] = WeakKeyDictionary()


def make(credential: Credential) -> str:
    """A new ticket for whoever showed ``credential``. Raises ``Unavailable``."""
    ticket = secrets.token_urlsafe(32)
    kept = crypto.encrypt(json.dumps([credential.kind, credential.value, credential.user]))
    try:
        _client().set(_key(ticket), kept, ex=SECONDS)
    except (redis.RedisError, OSError):
        raise Unavailable(_AWAY, retry_after=5) from None
    return ticket


async def redeem(ticket: str) -> Credential | None:
    """The credential behind a ticket, which is spent by this; ``None`` for one that is unknown,
    expired or spent. Whether the credential still counts is not asked here.

    Raises ``Unavailable``.
    """
    if not _FORM.fullmatch(ticket):
        return None
    key = _key(ticket)
    by = secrets.token_hex(16)
    try:
        kept = await _async_client().eval(_SPEND, 2, key, f"{key}:by", by, SECONDS)
    except (redis.RedisError, OSError):
        raise Unavailable(_AWAY, retry_after=5) from None
    if not isinstance(kept, bytes):
        return None
    try:
        return Credential(*json.loads(crypto.decrypt(kept.decode())))
    except crypto.Unreadable:  # SECRET_KEY was changed within the half minute
        return None


def _key(ticket: str) -> str:
    return f"farebox:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=WAIT_SECONDS,
        socket_timeout=WAIT_SECONDS,
        retry=Retry(NoBackoff(), 1),  # for a connection that died in the pool
    )


def _async_client() -> aioredis.Redis:
    """The client of the loop that runs; its connections belong to that loop."""
    loop = asyncio.get_running_loop()
    client = _async_clients.get(loop)
    if client is None:
        client = _async_clients[loop] = aioredis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=WAIT_SECONDS,
            socket_timeout=WAIT_SECONDS,
            retry=AsyncRetry(NoBackoff(), 1),
        )
    return client


async def close() -> None:
    """Close the connections of the loop that runs."""
    client = _async_clients.pop(asyncio.get_running_loop(), None)
    if client is not None:
        await client.aclose()
