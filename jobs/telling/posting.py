"""One POST to an address of somebody's choice: bounded in time and bytes, to an address that was
checked, and no further: a redirect is an answer like any other.

By hand, over asyncio's streams: what is wanted is a status, from exactly one address, and nothing
that an HTTP client would do besides.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping

from jobs.telling import addresses

SECONDS = 15.0
HEAD_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r?\n)")


class NotDelivered(Exception):
    """There was no answer; the message says why, for the owner."""


async def post(url: str, headers: Mapping[str, str], body: bytes) -> int:
    """The status that ``url`` answers. Raises ``NotDelivered``, and ``addresses.Refused``."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _post(addresses.read(url), headers, body)
    except TimeoutError:
        raise NotDelivered("it took too long") from None
    except ssl.SSLError:
        raise NotDelivered("its certificate is not accepted") from None
    except (OSError, UnicodeError, asyncio.LimitOverrunError, EOFError):
        raise NotDelivered("it can't be reached") from None


async def _post(target: addresses.Target, headers: Mapping[str, str], body: bytes) -> int:
    loop = asyncio.get_running_loop()
    # Not in the loop's own threads, where the names of providers are looked up: this one may hang.
    found = await loop.run_in_executor(addresses.lookups, addresses.look_up, target)
    address = addresses.check(found, target)
    reader, writer = await asyncio.open_connection(
        address,
        target.port,
        ssl=_tls() if target.secure else None,
        server_hostname=target.host if target.secure else None,
        limit=HEAD_BYTES,
    )
    try:
        lines = {
            "host": target.host_header,
            "user-agent": "farebox",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
        } | dict(headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
        await writer.drain()
        first = await reader.readline()
        found_status = _STATUS.match(first)
        if found_status is None:
            raise NotDelivered("its answer is not HTTP")
        return int(found_status[1])
    finally:
        writer.transport.abort()  # what else it says is not listened to


_context: list[ssl.SSLContext] = []


def _tls() -> ssl.SSLContext:
    """One for the process: making one reads every certificate there is."""
    if not _context:
        _context.append(ssl.create_default_context())
    return _context[0]
