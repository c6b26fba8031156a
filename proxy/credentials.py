"""Who calls: reading the credential out of the headers."""

from collections.abc import Mapping

from accounts import presented
from accounts.presented import Presented
from common.errors import BadInput, NotAuthenticated


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


def read(headers: Mapping[bytes, bytes]) -> Presented:
    """The API key, access token or session that ``accounts.presented`` finds; whether it is valid,
    ``begin`` knows.

    Raises ``NotAuthenticated`` when there is none, or none that can be one: a mistyped key costs no
    query.
    """
    key, session = headers.get(b"x-api-key"), headers.get(b"x-session-token")
    found = presented.read(
        authorization=headers.get(b"authorization", b"").decode("latin-1"),
        api_key=None if key is None else key.decode("latin-1"),
        session=None if session is None else session.decode("latin-1"),
    )
    if found is None:
        raise NotAuthenticated(presented.NOTHING)
    return found
