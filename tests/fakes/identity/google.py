"""Google's OpenID Connect server, as far as a sign-in meets it."""

from __future__ import annotations

import datetime
import secrets
import time
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from .issuer import Fault, Issuer, Refused
from .people import Person
from .web import Answer, Request

CLIENT_ID = "1234567890-farebox.apps.googleusercontent.test"
CLIENT_SECRET = "canary-google-secret-8Wq2Nf5Zx7"
TOKEN_SECONDS = 3600


class FakeGoogle(Issuer):
    """Point ``GOOGLE_URL`` at ``url``."""

    name = "Google"
    authorize_path = "/o/oauth2/v2/auth"

    def __init__(self, *, client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET) -> None:
        super().__init__(client_id=client_id, client_secret=client_secret)
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._foreign_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = secrets.token_hex(20)
        self._certificate = _certificate(self._key)
        self._routes = {
            **self._routes,
            ("POST", "/token"): self._token,
            ("GET", "/oauth2/v2/userinfo"): self._userinfo,
            ("GET", "/oauth2/v1/certs"): self._certs,
        }

    def id_token(
        self,
        person: Person,
        *,
        audience: str = "",
        issuer: str = "",
        age: int = 0,
        forged: bool = False,
    ) -> str:
        """An ID token as One Tap hands it to a page: for another client or of another server when
        told so, issued ``age`` seconds ago, signed by a stranger when ``forged``."""
        now = int(time.time()) - age
        claims: dict[str, Any] = {
            "iss": issuer or self.url,
            "aud": audience or self.client_id,
            "azp": audience or self.client_id,
            "sub": str(person.id),
            "email": person.email,
            "email_verified": person.verified,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "jti": secrets.token_hex(16),
        }
        key = self._foreign_key if forged else self._key
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": self._key_id})

    def _token(self, request: Request) -> Answer:
        if self._fails(Fault.BROKEN_TOKEN):
            return Answer.json({"error": "backend_error"}, 500)
        if not self._is_client(request.form):
            return Answer.json({"error": "invalid_client"}, 401)
        if request.form.get("grant_type") != "authorization_code":
            return Answer.json({"error": "unsupported_grant_type"}, 400)
        try:
            if self._fails(Fault.EXPIRED_CODE):
                raise Refused("code has expired")
            token, session = self._redeem(request.form)
        except Refused as refused:
            body = {"error": "invalid_grant", "error_description": str(refused)}
            return Answer.json(body, 400)
        bad = self._fails(Fault.BAD_TOKEN)
        given = {
            "access_token": token,
            "expires_in": TOKEN_SECONDS,
            "scope": " ".join(sorted(session.scopes)),
            "token_type": "Bearer",
        }
        if "openid" in session.scopes:
            audience = "another-client" if bad else ""
            given["id_token"] = self.id_token(session.person, audience=audience)
        return Answer.json(given)

    def _userinfo(self, request: Request) -> Answer:
        session = self._session(request)
        if session is None:
            return Answer.json({"error": {"code": 401, "status": "UNAUTHENTICATED"}}, 401)
        if self._fails(Fault.BROKEN_USER):
            return Answer.json({"error": "backend_error"}, 500)
        person = session.person
        return Answer.json(
            {"id": str(person.id), "email": person.email, "verified_email": person.verified}
        )

    def _certs(self, _: Request) -> Answer:
        return Answer.json({self._key_id: self._certificate})


def _certificate(key: rsa.RSAPrivateKey) -> str:
    """The public key as Google's v1 certificates have it: self-signed, in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake-google.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=14))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()
