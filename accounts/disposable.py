"""Throw-away mail domains: addresses that anybody can make by the thousand and nobody answers at.

The list is the library ``disposable-email-domains``, which is kept by many hands and updated by
updating it. An operator adds domains of their own by ``BLOCKED_EMAIL_DOMAINS``, takes some out by
``UNBLOCKED_EMAIL_DOMAINS``, or switches the list off with ``BLOCK_DISPOSABLE_EMAIL=false``.
"""

from collections.abc import Iterator

from disposable_email_domains import blocklist
from django.conf import settings

REFUSED = (
    "Addresses at this mail service can't be used here, because it gives them out to be thrown "
    "away. Please use another one."
)


def is_refused(email: str) -> bool:
    """Whether accounts with this address are refused; asks nothing about whether there is one.

    A domain stands for every name below it, unless a closer one is unblocked.
    """
    for domain in _domains(email):
        if domain in settings.UNBLOCKED_EMAIL_DOMAINS:
            return False
        if domain in settings.BLOCKED_EMAIL_DOMAINS:
            return True
        if settings.BLOCK_DISPOSABLE_EMAIL and domain in blocklist:
            return True
    return False


def _domains(email: str) -> Iterator[str]:
    """The address's domain in ASCII and small letters, then each above it: a.b.c, b.c, c."""
    domain = email.rpartition("@")[2].strip().rstrip(".").lower()
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        pass  # no name that mail could be sent to; what is listed is all ASCII
    while domain:
        yield domain
        domain = domain.partition(".")[2]
