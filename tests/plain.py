"""One TLS context for all HTTP clients of a test process.

Each client of httpx makes its own, which takes 40 ms of CPU, and the tests speak plain HTTP.
"""

from functools import cache
from typing import Any

import httpx._transports.default
import httpx2._transports.default


def share_context() -> None:
    for library in (httpx._transports.default, httpx2._transports.default):
        make: Any = library.create_ssl_context
        library.create_ssl_context = cache(make)  # type: ignore[attr-defined]
