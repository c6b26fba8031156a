"""What all HTTP clients of a test process share, since each would make its own.

``share_context``: a TLS context takes httpx 40 ms of CPU, and the tests speak plain HTTP.
``share_static_files``: each of Django's test clients has middlewares of its own, of which
WhiteNoise's looks at every static file when it is made, 70 ms of CPU. They are looked at once.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import httpx._transports.default
import httpx2._transports.default
from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware  # type: ignore[import-untyped]


def share_context() -> None:
    for library in (httpx._transports.default, httpx2._transports.default):
        make: Any = library.create_ssl_context
        library.create_ssl_context = cache(make)  # type: ignore[attr-defined]


def share_static_files() -> None:
    for name in ("update_files_dictionary", "add_files_from_finders"):
        setattr(WhiteNoiseMiddleware, name, _once(getattr(WhiteNoiseMiddleware, name)))


def _once(look: Callable[..., None]) -> Callable[..., None]:
    """The files that ``look`` adds are those that it added when the settings were the same."""
    known: dict[Any, dict[str, Any]] = {}

    @wraps(look)
    def add(middleware: Any, *where: str) -> None:
        told = (middleware.static_prefix, middleware.max_age, middleware.charset)
        key = (*where, *told, middleware.allow_all_origins, repr(settings.STORAGES))
        if key not in known:
            files, middleware.files = middleware.files, {}
            look(middleware, *where)
            known[key], middleware.files = middleware.files, files
        middleware.files.update(known[key])

    return add
