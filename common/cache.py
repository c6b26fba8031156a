"""Django's cache on Valkey with one pool of connections and one client for all of a process.

Django makes a cache object for each thread, and under ASGI for each request; each would connect
anew, and leave its connection to the garbage collector. And it makes a client for each operation,
which costs more than the operation: redis-py fills a table of 170 entries for each.
"""

import threading
from typing import Any

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import ConnectionPool, Redis

_clients: dict[tuple[Any, ...], Redis] = {}
_lock = threading.Lock()


class SharedClient(RedisCacheClient):
    """Whoever asks for the same server by the same options gets the same client, which threads may
    share and which makes new connections after a fork."""

    def get_client(self, key: Any = None, *, write: bool = False) -> Redis:
        base: Any = self  # its parts have no types
        server = base._servers[base._get_connection_pool_index(write)]
        known = (server, *sorted(base._pool_options.items(), key=lambda item: item[0]))
        client = _clients.get(known)
        if client is None:
            with _lock:
                client = _clients.get(known)
                if client is None:
                    pool = ConnectionPool.from_url(server, **base._pool_options)
                    client = _clients[known] = Redis(connection_pool=pool)
        return client


class Cache(RedisCache):
    """``BACKEND`` of the cache."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = SharedClient
