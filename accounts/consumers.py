"""``/ws/account``: what a signed-in client hears of its account while it happens.

The protocol is written down in ``docs/socket.md``. What a socket is told, ``accounts.hub`` decides;
here one socket is opened, kept within its bounds, and closed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from accounts import extensions, tickets
from accounts.access import Credential
from accounts.hub import SIGNED_OUT, TRY_LATER, Hub
from common.errors import Unavailable

PATH = "/ws/account"

MOST_BYTES = 1024  # of a client's message
MOST_MESSAGES = 10  # a second
MOST_WAITING = 50  # messages about different things that wait for a slow reader
SEND_SECONDS = 10.0

TOO_BIG = 1009
POLICY = 1008
PONG = '{"type":"pong"}'


class AccountConsumer(AsyncWebsocketConsumer):
    """One socket. It needs no channel of its own in Valkey: the ``hub`` listens for all."""

    channel_layer_alias = ""  # none: the base class would subscribe each socket by itself
    credential: Credential

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self._joined = False
        self._shut = False
        self._waiting: dict[str, str] = {}  # what it is about: the text
        self._sender: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._window = 0.0
        self._received = 0

    # --- Opening and closing -------------------------------------------------------------------

    async def connect(self) -> None:
        ticket = _take_ticket(self.scope)
        if not origin_is_allowed(self.scope):
            await self.close()  # before accept: the handshake is refused, 403
            return
        # A browser can't tell why a handshake was refused. What it can act on comes as a close.
        try:
            credential = await tickets.redeem(ticket)
        except Unavailable:
            await self.accept()
            self.shut(TRY_LATER, "the service is away for a moment; try again shortly")
            return
        await self.accept()
        if credential is None:
            self.shut(SIGNED_OUT, "this ticket is unknown, expired or spent; get a new one")
            return
        self.credential = credential
        self._joined = True
        self._hub.join(self)

    async def disconnect(self, code: int) -> None:
        self._shut = True
        if self._joined:
            self._hub.leave(self)
        if self._sender is not None:
            self._sender.cancel()

    async def dispatch(self, message: Mapping[str, Any]) -> None:
        """As the base class, but for its look at Django's database connections: a hop to another
        thread for each message, and there are none here."""
        match message["type"]:
            case "websocket.connect":
                await self.websocket_connect(message)
            case "websocket.receive":
                await self.websocket_receive(message)
            case "websocket.disconnect":
                await self.disconnect(message["code"])
                raise StopConsumer

    # --- Receiving -----------------------------------------------------------------------------

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """``{"type": "ping"}`` is answered; all else is ignored, within bounds."""
        if self._shut:
            return
        data = text_data.encode() if text_data is not None else bytes_data or b""
        if len(data) > MOST_BYTES:
            self.shut(TOO_BIG, f"a message can have {MOST_BYTES} bytes")
            return
        now = time.monotonic()
        if now >= self._window + 1:
            self._window, self._received = now, 0
        self._received += 1
        if self._received > MOST_MESSAGES:
            self.shut(POLICY, f"at most {MOST_MESSAGES} messages a second")
        elif _is_ping(data):
            self.put("pong", PONG)

    # --- Sending -------------------------------------------------------------------------------

    def put(self, about: str, text: str) -> None:
        """Send ``text``; in place of what still waits to be sent ``about`` the same.

        A reader who lets too much wait, or one message too long, is dropped.
        """
        if self._shut:
            return
        self._waiting.pop(about, None)
        self._waiting[about] = text
        if len(self._waiting) > MOST_WAITING:
            self._abort()
        elif self._sender is None:
            self._sender = asyncio.create_task(self._send_waiting())

    async def _send_waiting(self) -> None:
        try:
            while self._waiting:
                text = self._waiting.pop(next(iter(self._waiting)))
                async with asyncio.timeout(SEND_SECONDS):
                    await self.send(text_data=text)
        except TimeoutError:
            self._abort()
        except (OSError, RuntimeError):
            pass  # it closed meanwhile; the server says so in a message of its own
        finally:
            self._sender = None

    def shut(self, code: int, reason: str) -> None:
        """Close, in a while; nothing more is sent."""
        if self._shut:
            return
        self._shut = True
        self._waiting.clear()
        if self._sender is not None:
            self._sender.cancel()
        self._closer = asyncio.create_task(self._close(code, reason))

    async def _close(self, code: int, reason: str) -> None:
        if code < 3000 and self._dropper is None:
            code += 3000  # daphne sends none of the protocol's own codes
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self.close(code, reason)
        except TimeoutError:
            self._abort()
        except (OSError, RuntimeError):
            pass

    def _abort(self) -> None:
        """Drop a client that does not read: closing would wait until it did."""
        self._shut = True
        self._waiting.clear()
        if self._joined:
            self._hub.leave(self)
        if self._dropper is not None:
            self._dropper()

    @property
    def _dropper(self) -> Callable[[], None] | None:
        """How to drop the client, where the server offers that (``config.sockets``)."""
        offered = (self.scope.get("extensions") or {}).get("farebox.abort")
        return offered["abort"] if offered else None


def _is_ping(data: bytes) -> bool:
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return isinstance(message, dict) and message.get("type") == "ping"


def _take_ticket(scope: dict[str, Any]) -> str:
    """The ticket in the address, taken out of it: the server logs addresses."""
    query = scope.get("query_string", b"").decode("latin-1")
    scope["query_string"] = b""
    try:
        return parse_qs(query, max_num_fields=10).get("ticket", [""])[0]
    except ValueError:
        return ""


def origin_is_allowed(scope: Mapping[str, Any]) -> bool:
    """Pages of this deployment, the extensions, and programs, which name no origin."""
    headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
    if b"origin" not in headers:
        return True
    origin = headers[b"origin"].decode("latin-1").lower()
    if origin in {extensions.origin_of(name) for name in settings.EXTENSION_IDS}:
        return True
    public = urlsplit(settings.PUBLIC_URL)
    if origin == f"{public.scheme}://{public.netloc}".lower():
        return True
    scheme, _, netloc = origin.partition("://")
    host = headers.get(b"host", b"").decode("latin-1").lower()
    if scheme not in {"http", "https"} or netloc != host:
        return False
    return validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
