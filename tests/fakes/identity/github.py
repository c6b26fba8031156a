"""GitHub's OAuth server and the two addresses of its API that a sign-in asks, as an Enterprise
server has them below ``/api/v3``."""

from __future__ import annotations

from urllib.parse import urlencode

from .issuer import Fault, Issuer, Refused
from .web import Answer, Request

CLIENT_ID = "Iv1.farebox0fake"
CLIENT_SECRET = "canary-github-secret-3Kd9Ry6Tb1"

# What GitHub calls a refusal; it answers all of them with status 200.
REASONS = {
    "redirect differs": "redirect_uri_mismatch",
    "client": "incorrect_client_credentials",
}


class FakeGitHub(Issuer):
    """Point ``GITHUB_URL`` at ``url``."""

    name = "GitHub"
    authorize_path = "/login/oauth/authorize"

    def __init__(self, *, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET) -> None:
        super().__init__(client_id=client_id, client_secret=client_secret)
        self._routes = {
            **self._routes,
            ("POST", "/login/oauth/access_token"): self._token,
            ("GET", "/api/v3/user"): self._user,
            ("GET", "/api/v3/user/emails"): self._emails,
        }

    def _token(self, request: Request) -> Answer:
        if self._fails(Fault.BROKEN_TOKEN):
            return Answer.page("<p>Unicorn!</p>", 500)
        try:
            if not self._is_client(request.form):
                raise Refused("client")
            if self._fails(Fault.EXPIRED_CODE):
                raise Refused("code has expired")
            token, session = self._redeem(request.form)
        except Refused as refused:
            reason = REASONS.get(str(refused), "bad_verification_code")
            return _encoded(request, {"error": reason, "error_description": str(refused)})
        if self._fails(Fault.BAD_TOKEN):
            token = "gho_good-for-nothing"
        scope = ",".join(sorted(session.scopes))
        return _encoded(request, {"access_token": token, "scope": scope, "token_type": "bearer"})

    def _user(self, request: Request) -> Answer:
        session = self._session(request)
        if session is None:
            return Answer.json({"message": "Bad credentials"}, 401)
        if self._fails(Fault.BROKEN_USER):
            return Answer.json({"message": "Server Error"}, 500)
        person = session.person
        # The e-mail here is the public one of the profile, and says nothing of being verified.
        return Answer.json(
            {
                "login": person.login, "id": person.id, "name": person.name, "type": "User",
                "email": person.email, "html_url": f"{self.url}/{person.login}",
            }
        )  # fmt: skip

    def _emails(self, request: Request) -> Answer:
        session = self._session(request)
        if session is None:
            return Answer.json({"message": "Bad credentials"}, 401)
        if not session.scopes & {"user", "user:email"}:
            return Answer.json({"message": "Not Found"}, 404)
        person = session.person
        known = [(person.email, person.verified), *person.more]
        return Answer.json(
            [
                {"email": email, "verified": verified, "primary": not at, "visibility": None}
                for at, (email, verified) in enumerate(known)
            ]
        )


def _encoded(request: Request, given: dict[str, str]) -> Answer:
    """As a form, unless JSON was asked for."""
    if "json" in request.headers.get("accept", ""):
        return Answer.json(given)
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    return Answer(200, urlencode(given).encode(), form)
