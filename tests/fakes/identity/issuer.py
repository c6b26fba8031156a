"""What both providers have in common: the authorize page, codes and access tokens."""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from .people import Person
from .web import Answer, Request, Web


class Fault(Enum):
    """How a sign-in goes wrong, at the step that it names."""

    DENIED = auto()  # the person is not asked, and the application is told that they refused
    BROKEN_AUTHORIZE = auto()  # the application is told of an error of the server's
    BROKEN_TOKEN = auto()  # 500 where the code is redeemed
    EXPIRED_CODE = auto()
    BAD_TOKEN = auto()  # the code is redeemed for a token that is good for nothing
    BROKEN_USER = auto()  # 500 where the person is asked for


AT_AUTHORIZE = {Fault.DENIED: "access_denied", Fault.BROKEN_AUTHORIZE: "server_error"}


@dataclass(frozen=True)
class Asked:
    """What the application asked for at the authorize page."""

    redirect: str
    state: str
    scopes: frozenset[str]
    challenge: str


@dataclass
class Code:
    asked: Asked
    person: Person
    gave: str = ""  # the access token, once redeemed


@dataclass
class Session:
    """What an access token stands for."""

    person: Person
    scopes: frozenset[str] = field(default_factory=frozenset)


class Refused(Exception):
    """A code is not redeemed; the message is OAuth's word for why."""


class Issuer(Web):
    """An OAuth server. The subclass has the addresses and the shapes."""

    name: str
    authorize_path: str

    def __init__(self, *, client_id: str, client_secret: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.redirects: set[str] = set()
        self.automatic: Person | None = None
        self._people: dict[int, Person] = {}
        self._faults: deque[Fault] = deque()
        self._asked: dict[str, Asked] = {}
        self._codes: dict[str, Code] = {}
        self._sessions: dict[str, Session] = {}
        super().__init__(
            {
                ("GET", self.authorize_path): self._authorize,
                ("POST", self.authorize_path): self._choose,
            }
        )

    # To program it.

    def allow(self, *redirects: str) -> None:
        """Register redirect addresses of the application."""
        self.redirects.update(redirects)

    def add(self, person: Person) -> Person:
        """Give somebody an account here."""
        self._people[person.id] = person
        return person

    def once(self, *faults: Fault) -> None:
        """Let the next sign-ins fail, one fault each, in this order."""
        self._faults.extend(faults)

    def reset(self) -> None:
        """Forget people, sessions and faults; the client and its redirects stay."""
        for kept in (self._people, self._asked, self._codes, self._sessions, self._faults):
            kept.clear()
        self.requests.clear()
        self.automatic = None

    # The authorize page.

    def _authorize(self, request: Request) -> Answer:
        query = request.query
        if query.get("client_id") != self.client_id:
            return self._error_page("The OAuth client was not found.")
        if query.get("redirect_uri") not in self.redirects:
            return self._error_page("The redirect address is not registered for this client.")
        asked = Asked(
            redirect=query["redirect_uri"],
            state=query.get("state", ""),
            scopes=frozenset(query.get("scope", "").replace(",", " ").split()),
            challenge=query.get("code_challenge", ""),
        )
        if query.get("response_type", "code") != "code":
            return self._back(asked, error="unsupported_response_type")
        if asked.challenge and query.get("code_challenge_method") != "S256":
            return self._back(asked, error="invalid_request")
        if self._faults and self._faults[0] in AT_AUTHORIZE:
            return self._back(asked, error=AT_AUTHORIZE[self._faults.popleft()])
        if self.automatic is not None:
            return self._agree(asked, self.automatic)
        handle = secrets.token_urlsafe(16)
        self._asked[handle] = asked
        return Answer.page(self._chooser(handle))

    def _choose(self, request: Request) -> Answer:
        asked = self._asked.pop(request.form.get("request", ""), None)
        if asked is None:
            return self._error_page("This page was answered before.")
        if "cancel" in request.form:
            return self._back(asked, error="access_denied")
        return self._agree(asked, self._people[int(request.form["person"])])

    def _agree(self, asked: Asked, person: Person) -> Answer:
        code = secrets.token_urlsafe(24)
        self._codes[code] = Code(asked, person)
        return self._back(asked, code=code)

    def _back(self, asked: Asked, **query: str) -> Answer:
        if asked.state:
            query["state"] = asked.state
        return Answer.redirect(asked.redirect, **query)

    def _chooser(self, handle: str) -> str:
        buttons = "\n".join(
            f'<button name="person" value="{person.id}">'
            f"{html.escape(person.name)} ({html.escape(person.email)})</button>"
            for person in self._people.values()
        )
        return self._page(
            f'<form method="post" action="{self.authorize_path}">'
            f'<input type="hidden" name="request" value="{handle}">\n{buttons}\n'
            '<button name="cancel">Cancel</button></form>'
        )

    def _error_page(self, reason: str) -> Answer:
        return Answer.page(self._page(f"<p>{html.escape(reason)}</p>"), 400)

    def _page(self, content: str) -> str:
        title = f"Sign in with {self.name} (a fake)"
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,">'
            f"<title>{title}</title><h1>{title}</h1>{content}</html>"
        )

    # Codes and tokens.

    def _is_client(self, form: dict[str, str]) -> bool:
        return (form.get("client_id"), form.get("client_secret")) == (
            self.client_id,
            self.client_secret,
        )

    def _redeem(self, form: dict[str, str]) -> tuple[str, Session]:
        """An access token for a code. Raises ``Refused``."""
        code = self._codes.get(form.get("code", ""))
        if code is None:
            raise Refused("unknown code")
        if code.gave:
            self._sessions.pop(code.gave, None)
            raise Refused("code was used before")
        if form.get("redirect_uri") != code.asked.redirect:
            raise Refused("redirect differs")
        if code.asked.challenge and _s256(form.get("code_verifier", "")) != code.asked.challenge:
            raise Refused("verifier does not fit")
        code.gave = secrets.token_urlsafe(24)
        session = self._sessions[code.gave] = Session(code.person, code.asked.scopes)
        return code.gave, session

    def _session(self, request: Request) -> Session | None:
        """Who the access token of a request stands for."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self._sessions.get(token) if scheme.lower() in {"bearer", "token"} else None

    def _fails(self, fault: Fault) -> bool:
        """Whether the fault is due now; then it is over."""
        due = bool(self._faults) and self._faults[0] is fault
        if due:
            self._faults.popleft()
        return due


def _s256(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
