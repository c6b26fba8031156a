"""``POST /api/jobs`` by API key, without Django's handler: its middleware and the view take ten
times what the statement takes that makes a job.

Taken is the plain request of a program; ``_head`` and ``_read`` say which. All others are Django's
(``jobs.views.JobList``), handed on as they came, and so is what is refused, or repeats an earlier
request: nothing was changed by it, and its answer is written in one place. What is answered here is
a new job, and that the service can't be reached.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NoReturn

import orjson
import psycopg
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from psycopg_pool import PoolTimeout

from accounts import csp, events, presented
from accounts.limits import COUNTED, Counter
from common import drf
from common.errors import FareboxError, NotAuthenticated, Unavailable, openai_shape
from common.ids import uuid7
from jobs import creating, dispatch, reading
from jobs.creating import Created
from jobs.kinds import KINDS
from ledger.database import Statement
from proxy import responses
from proxy.context import Context
from proxy.responses import ClientLeft, Receive, Scope, Send
from usage import idempotency
from usage.idempotency import Key

log = structlog.get_logger(__name__)

PATH = "/api/jobs"
# Larger ones would keep the calls of this process waiting while they are parsed.
MOST_BYTES = 64 * 1024
_OWNERS_MOST = 20_000
_JSON = {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
# What a program's plain request has not.
_OTHERS = {b"cookie", b"origin", b"x-session-token", b"transfer-encoding"}
_AWAY = (psycopg.OperationalError, PoolTimeout, OSError)
_OWNER = """
SELECT (SELECT u.id FROM accounts_apikey k JOIN accounts_user u ON u.id = k.user_id
    WHERE k.digest = %(digest)s AND k.revoked_at IS NULL AND u.is_active
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()))
"""

Django = Callable[..., Awaitable[None]]  # Django types its handler in another way


class Elsewhere(Exception):
    """The request is Django's; ``counted``: against its user's rate, too."""

    def __init__(self, *, counted: bool = False) -> None:
        super().__init__()
        self.counted = counted


@dataclass(frozen=True, slots=True)
class _Head:
    """What counts of a request's head."""

    headers: Mapping[bytes, bytes]
    digest: bytes


class NewJobs:
    """``context`` gives the proxy's, ``django`` is who answers all else."""

    def __init__(self, context: Callable[[], Awaitable[Context]], django: Django) -> None:
        self._context = context
        self._django = django
        self._headers = _headers()
        self._counter = Counter()
        self._owners: dict[bytes, int] = {}  # by the digest of a key, whose owner stays the same

    async def close(self) -> None:
        await self._counter.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = _head(scope)
        if head is None:
            await self._django(dict(scope), receive, send)
            return
        try:
            raw = await responses.read_body(receive, head.headers)
            kind, created = await self._create(head, raw)
        except ClientLeft:
            pass
        except Elsewhere as elsewhere:
            told = {**scope, COUNTED: elsewhere.counted}
            await self._django(told, _again(raw, receive), send)
        except FareboxError as error:
            await self._refuse(send, error)
        except Exception as error:
            log.exception("unexpected", error=type(error).__name__)
            problem = FareboxError("Something went wrong here. It has been noted.")
            await self._refuse(send, problem)
        else:
            await self._answer(send, 202, orjson.dumps(reading.body_of_new(created, kind)))

    async def _create(self, head: _Head, raw: bytes) -> tuple[str, Created]:
        kind, given, key = _read(head, raw)
        context = await self._context()
        try:
            parts = creating.parts_of(kind, given, await context.ready())
        except FareboxError:
            raise Elsewhere from None
        user = await self._owner(context, head.digest)
        if await self._counter.hit(settings.API_RATE_USER, "user", str(user)):
            raise Elsewhere  # where it will not be counted either
        statement = creating.make.build(
            job=uuid7(), user=None, digest=head.digest, kind=kind, parts=parts, webhook="", key=key
        )
        try:
            created = await _run(context, statement)
        except Unavailable:
            raise
        except NotAuthenticated:  # whoever has a key that has ended uses up nobody's rate with it
            self._owners.pop(head.digest, None)
            raise Elsewhere from None
        except FareboxError:
            raise Elsewhere(counted=True) from None
        if created.repeated:
            raise Elsewhere(counted=True)
        dispatch.hint()
        events.hint(created.owner)
        return kind, created

    async def _owner(self, context: Context, digest: bytes) -> int:
        """Whose key it is, if it is valid; whether it still is, the statement knows."""
        found = self._owners.get(digest)
        if found is None:
            owner = Statement[int | None](_OWNER, {"digest": digest}, lambda row: row[0])
            found = await _run(context, owner)
            if found is None:
                raise Elsewhere
            if len(self._owners) >= _OWNERS_MOST:
                self._owners.clear()
            self._owners[digest] = found
        return found

    async def _refuse(self, send: Send, error: FareboxError) -> None:
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        await self._answer(send, error.status, json.dumps(openai_shape(error)).encode(), headers)

    async def _answer(
        self, send: Send, status: int, body: bytes, more: responses.Headers = ()
    ) -> None:
        request_id = (b"x-request-id", str(uuid7()).encode())
        await responses.whole(send, status, body, [*self._headers, request_id, *more])


async def _run(context: Context, statement: Statement[Any]) -> Any:
    """Run a statement, and once more when its connection has died meanwhile: under the ids that it
    had, so that no job is made twice. Raises ``Unavailable``."""
    for attempt in (1, 2):
        try:
            async with context.pool.lease() as conn:
                return await conn.run(statement)
        except _AWAY as error:
            if attempt == 2 or isinstance(error, PoolTimeout):
                log.warning("database away", error=type(error).__name__)
                raise Unavailable(drf.BUSY, retry_after=5) from None
            await context.pool.check()
    raise AssertionError("unreachable")


def _again(body: bytes, receive: Receive) -> Receive:
    """``receive`` for an application that reads a body which was read before."""
    whole: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Any:
        return whole.pop() if whole else await receive()

    return received


def _head(scope: Scope) -> _Head | None:
    """The head of a plain request; ``None`` for any other, the malformed among them."""
    if scope["method"] != "POST" or scope.get("query_string") or scope.get("root_path"):
        return None
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"")
    most = min(MOST_BYTES, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
    if (
        len(headers) != len(scope["headers"])  # one came twice
        or not _OTHERS.isdisjoint(headers)
        or headers.get(b"content-type", b"").lower() not in _JSON
        or b";" in headers.get(b"accept", b"")  # it may ask for spaces in the JSON
        or not length.isdigit()
        or not 0 < int(length) <= most
        or not _is_allowed(headers.get(b"host", b""))
        or (settings.HTTPS and headers.get(b"x-forwarded-proto") != b"https")
    ):
        return None
    api_key = headers.get(b"x-api-key")
    try:
        given = presented.read(
            authorization=headers.get(b"authorization", b"").decode("latin-1"),
            api_key=None if api_key is None else api_key.decode("latin-1"),
            session=None,
        )
    except NotAuthenticated:
        return None
    return _Head(headers, given.digest) if given and given.digest else None


@lru_cache(maxsize=256)
def _is_allowed(host: bytes) -> bool:
    domain, _ = split_domain_port(host.decode("latin-1"))
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _read(head: _Head, raw: bytes) -> tuple[str, Any, Key | None]:
    """A request's kind, input and Idempotency-Key. Raises ``Elsewhere`` for what is not plain, or
    bad input."""
    try:
        key = idempotency.read(head.headers.get(b"idempotency-key"), PATH, raw)
        body = json.loads(raw.decode(), parse_constant=_no_number)
    except (FareboxError, ValueError, RecursionError):
        raise Elsewhere from None
    if not isinstance(body, dict) or not body.keys() <= {"kind", "input", "webhook"}:
        raise Elsewhere
    kind = body.get("kind")
    if not isinstance(kind, str) or kind not in KINDS or body.get("webhook", "") != "":
        raise Elsewhere
    return kind, body.get("input"), key


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _headers() -> list[tuple[bytes, bytes]]:
    """The headers that Django's middleware gives each answer of the view's."""
    request = HttpRequest()
    request.META["HTTP_X_FORWARDED_PROTO"] = "https" if settings.HTTPS else "http"
    response = HttpResponse()
    del response["content-type"]
    for middleware in (SecurityMiddleware, XFrameOptionsMiddleware):
        middleware(lambda _: response).process_response(request, response)
    response["allow"] = "GET, POST, HEAD, OPTIONS"
    response["cache-control"] = "no-store"
    response["content-security-policy"] = csp.NOTHING
    response["vary"] = "origin"
    return [(name.lower().encode(), value.encode()) for name, value in response.items()]
