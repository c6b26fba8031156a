"""Letting the pages of our extensions read the proxy's answers (Fetch standard, section 3.3).

Django's side has django-cors-headers; these paths never get there. Allowed are the origins of
``EXTENSION_IDS`` and no others, without cookies: a credential is sent by hand. A request that names
no origin pays nothing for this, and one from elsewhere gets the answer that it can't read.
"""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from proxy.responses import Headers, Send

# What the SDKs send from a browser, and what a client of our own may.
_HEADER = re.compile(
    r"accept|authorization|content-type|idempotency-key|user-agent|x-api-key|x-session-token"
    r"|x-request-id|openai-(?:beta|organization|project)|x-stainless-[a-z-]{1,40}"
    r"|anthropic-(?:version|beta|dangerous-direct-browser-access)"
)
_EXPOSED = (
    b"x-farebox-call, x-farebox-estimated, x-request-id, request-id, retry-after, x-should-retry"
    b", ratelimit, ratelimit-policy"
)
_KEPT = b"7200"  # seconds; Chromium keeps an answer no longer than this
_MOST = 4096  # characters of a list of headers that are looked at


class Cors:
    """The rule, for one list of origins."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def wrap(self, send: Send, origin: bytes) -> Send:
        """A ``send`` that lets ``origin`` read what is sent, if it may."""
        allowed = origin in self._origins

        async def send_to_page(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(origin, allowed)]
            await send(message)

        return send_to_page

    def preflight(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """The headers that answer a preflight of an origin that may ask; ``None`` for what is no
        preflight, or is of another origin."""
        wanted = headers.get(b"access-control-request-method")
        if method != "OPTIONS" or wanted is None or headers[b"origin"] not in self._origins:
            return None
        asked = headers.get(b"access-control-request-headers", b"")[:_MOST].decode("latin-1")
        names = [name.strip().lower() for name in asked.split(",")]
        granted = ", ".join(name for name in names if _HEADER.fullmatch(name))
        return [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", granted.encode()),
            (b"access-control-max-age", _KEPT),
        ]


def _headers(origin: bytes, allowed: bool) -> list[tuple[bytes, bytes]]:
    vary = (b"vary", b"origin")
    if not allowed:
        return [vary]
    return [
        vary,
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _EXPOSED),
    ]
