"""Addresses of other servers, as an operator gives them."""

from urllib.parse import urlsplit


def checked(value: str) -> str:
    """An http(s) address without a trailing slash; plain http is taken on loopback only.

    Raises ``ValueError`` that says what is wrong with it.
    """
    value = value.strip().rstrip("/")
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValueError("must be an http or https address")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("is not an address")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must carry no credentials, query or fragment")
    loopback = host in {"localhost", "::1"} or host.startswith("127.")
    if parts.scheme == "http" and not loopback:
        raise ValueError("must be https; plain http is for loopback only")
    return value


def origin(value: str) -> str:
    """Scheme, host and port of an address: who it is that one talks to there."""
    parts = urlsplit(value)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"
