"""Who calls: reading the key out of the headers."""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts import keys
from common.errors import BadInput, NotAuthenticated


@dataclass(frozen=True)
class Credential:
    """A well-formed key, by its SHA-256. Whether it is valid, ``begin`` knows."""

    digest: bytes


def headers_of(scope: Mapping[str, object]) -> dict[bytes, bytes]:
    """The request's headers by lower-case name; of one given twice the first counts.

    Raises ``BadInput`` for a line break inside a value.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:  # type: ignore[attr-defined]
        if b"\r" in value or b"\n" in value or b"\0" in value:
            raise BadInput("A header's value can't hold a line break.")
        headers.setdefault(name.lower(), value)
    return headers


def read(headers: Mapping[bytes, bytes]) -> Credential:
    """The key in ``Authorization: Bearer`` or ``x-api-key``.

    Raises ``NotAuthenticated`` when there is none, or one that can't be a key: its checksum is
    looked at here, so that a mistyped key costs no query.
    """
    given = []
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        given.append(token.strip())
    if b"x-api-key" in headers:
        given.append(headers[b"x-api-key"].strip())
    if not given:
        raise NotAuthenticated(
            "No API key was given; send it as 'Authorization: Bearer …' or 'x-api-key'."
        )
    for token in given:
        key = token.decode("latin-1")
        if keys.is_well_formed(key):
            return Credential(keys.digest(key))
    raise NotAuthenticated("This is not a Farebox API key; one begins with 'fb_'.")
