"""Where a webhook may go: to the public internet, never into the operator's own network.

Each request looks its host's name up once, and goes to the address that was found and checked; a
name that means another address a moment later changes nothing. Networks of the operator's own can
be opened (``JOB_WEBHOOK_NETWORKS``), which plain http may then reach, too.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from common.errors import BadInput

LONGEST = 500
LOOKUP_SECONDS = 2.0
_NAT64 = ip_network("64:ff9b::/96")
_PROTOCOLS = ip_network("192.0.0.0/24")  # of which newer versions of Python take parts for public
lookups = ThreadPoolExecutor(16, thread_name_prefix="webhook-names")

Address = IPv4Address | IPv6Address


class Refused(Exception):
    """No webhook goes there; the message says why."""


@dataclass(frozen=True)
class Target:
    """An address taken apart. ``path`` has the query."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.secure else 80) else f"{name}:{self.port}"


def read(url: str) -> Target:
    """Take an address apart. Raises ``Refused``."""
    if len(url) > LONGEST:
        raise Refused(f"must have at most {LONGEST} characters")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("is not an address")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("is not an address") from None
    if parts.scheme not in {"https", "http"} or not host or port == 0:
        raise Refused("must be an https address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise Refused("must carry no credentials and no fragment")
    secure = parts.scheme == "https"
    if not secure and not (settings.DEBUG or settings.JOB_WEBHOOK_NETWORKS):
        raise Refused("must be an https address")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(secure, host, port or (443 if secure else 80), path)


def look_up(target: Target) -> list[Any]:
    """What a target's name means now. Waits for whoever is to know that."""
    return socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)


def check(found: list[Any], target: Target) -> str:
    """The address to connect to, of what ``getaddrinfo`` has found. Raises ``Refused`` when any of
    them may not be asked."""
    addresses = [ip_address(entry[4][0].partition("%")[0]) for entry in found]
    if not addresses:
        raise Refused("has no address")
    for address in addresses:
        opened = _is_opened(address)
        if not opened and not is_public(address):
            raise Refused("is a private address")
        if not target.secure and not opened and not settings.DEBUG:
            raise Refused("must be an https address")
    return str(addresses[0])


def is_public(address: Address) -> bool:
    """Whether an address is somewhere on the public internet, as which it would be reached."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address.teredo is not None:
            return False
    if address in _PROTOCOLS:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def expect_allowed(url: str) -> None:
    """Raises ``BadInput`` for an address that no webhook will go to.

    A name that can't be looked up now is let through: it is looked up again for each request.
    """
    try:
        target = read(url)
        check(lookups.submit(look_up, target).result(LOOKUP_SECONDS), target)
    except Refused as refusal:
        raise BadInput(f"webhook: {refusal}.", param="webhook") from None
    except (TooSlow, OSError, UnicodeError):
        return


def _is_opened(address: Address) -> bool:
    return any(
        address.version == network.version and address in network
        for network in settings.JOB_WEBHOOK_NETWORKS
    )
