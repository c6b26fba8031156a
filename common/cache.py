"""One pool of connections to Valkey for all of Django's cache objects of a process.

Django makes a cache object for each thread, and under ASGI for each request; each would connect
anew, and leave its connection to the garbage collector.
"""

import threading
from typing import Any

from redis import ConnectionPool

_pools: dict[tuple[Any, ...], "SharedPool"] = {}
_lock = threading.Lock()


class SharedPool(ConnectionPool):
    """``OPTIONS["pool_class"]`` of the cache: whoever asks for the same server gets the same pool,
    which threads may share and which makes new connections after a fork."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "SharedPool":
        key = (url, *sorted(options.items(), key=lambda item: item[0]))
        with _lock:
            if key not in _pools:
                _pools[key] = super().from_url(url, **options)
            return _pools[key]
