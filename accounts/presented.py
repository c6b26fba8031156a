"""What a request presents to say who is calling: told apart by form alone, without a query.

=================================  ===============================================
``Authorization: Bearer fb_…``     an API key
``x-api-key: fb_…``                the same, as Anthropic's SDKs send it
``Authorization: Bearer …``        an access token of an extension's sign-in
``x-api-key: …``                   the same, since those SDKs know no other place
``X-Session-Token: …``             a session of the headless API
=================================  ===============================================

Of several well-formed ones an API key counts before a token, a token before a session, and of two
of a kind the one in ``Authorization``. What counts stands or falls alone: when it is refused, no
other is tried. What is malformed is as good as absent, if something well-formed is beside it.
"""

import hashlib
import re
from dataclasses import dataclass

from accounts import keys
from common.errors import NotAuthenticated

NOTHING = (
    "Who is calling? Send an API key as 'Authorization: Bearer fb_…' or 'x-api-key', "
    "or sign in and send the access token as 'Authorization: Bearer …' or the session's as "
    "'X-Session-Token'."
)
MALFORMED_KEY = "This is not a Farebox API key; one begins with 'fb_'."
MALFORMED_SIGN_IN = "This is neither an API key nor a sign-in's token: it is malformed."
ENDED_KEY = "This API key is not valid: unknown, revoked or expired."
ENDED_SIGN_IN = "This sign-in has ended or expired; sign in again."

_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")
_SESSION = re.compile(r"[a-z0-9]{32}")  # Django's session keys
# A mistyped key of ours, longer or shorter by a slip; an access token has 86 characters, and one of
# them in a hundred thousand begins like this too.
_SLIP = 12
# Keys of OpenAI, Anthropic and OpenRouter. By less than this a token could begin by chance.
_FOREIGN = ("sk-proj-", "sk-svcacct-", "sk-admin-", "sk-ant-", "sk-or-")


@dataclass(frozen=True, slots=True)
class Presented:
    """One credential, as the database looks for it; the other two are ``None``.

    ``digest`` is an API key's SHA-256, ``token`` that of an access token in hexadecimal (allauth's
    ``hash_token``), ``session`` a session's key.
    """

    digest: bytes | None = None
    token: str | None = None
    session: str | None = None

    @property
    def refusal(self) -> NotAuthenticated:
        """What somebody is told whose credential does not count, whatever the reason."""
        return NotAuthenticated(ENDED_KEY if self.digest else ENDED_SIGN_IN)


def read(*, authorization: str = "", api_key: str | None, session: str | None) -> Presented | None:
    """The credential that counts, of the headers ``Authorization``, ``x-api-key`` and
    ``X-Session-Token``; ``None`` when there is none at all.

    Raises ``NotAuthenticated`` when none of those given can be one.
    """
    given = []
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        given.append(rest.strip())
    if api_key is not None:
        given.append(api_key.strip())
    for value in given:
        if keys.is_well_formed(value):
            return Presented(digest=keys.digest(value))
    for value in given:
        if _TOKEN.fullmatch(value) and not _is_meant_as_key(value):
            return Presented(token=hashlib.sha256(value.encode()).hexdigest())
    if session is not None and _SESSION.fullmatch(session.strip()):
        return Presented(session=session.strip())
    if given:
        meant = any(map(_is_meant_as_key, given))
        raise NotAuthenticated(MALFORMED_KEY if meant else MALFORMED_SIGN_IN)
    if session is not None:
        raise NotAuthenticated(ENDED_SIGN_IN)
    return None


def session_in(header: str) -> str | None:
    """The session's key in an ``X-Session-Token``; ``None`` for what can't be one."""
    return header.strip() if _SESSION.fullmatch(header.strip()) else None


def _is_meant_as_key(value: str) -> bool:
    mistyped = value.lower().startswith(keys.PREFIX) and len(value) <= keys.LENGTH + _SLIP
    return mistyped or value.startswith(_FOREIGN)
