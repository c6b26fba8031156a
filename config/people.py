"""How people sign in: django-allauth's settings, for pages, headless, and as a provider.

Everything here is read by ``config.settings``; nothing imports it otherwise.
"""

import re
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from limits import parse

from config import env

AUTH_APPS = [
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.github",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.headless",
    "allauth.idp.oidc",
]

_EXTENSION_ID = re.compile(r"[a-p]{32}")


def extension_ids() -> list[str]:
    """The extensions that may sign people in, by Chromium's 32-letter ids."""
    found = env.names("EXTENSION_IDS")
    for name in found:
        if not _EXTENSION_ID.fullmatch(name):
            raise ImproperlyConfigured(
                "EXTENSION_IDS: must be ids of 32 letters from a to p, separated by commas"
            )
    return list(dict.fromkeys(found))


def _application(name: str, client: str, secret: str) -> list[dict[str, Any]]:
    if bool(client) != bool(secret):
        missing = "SECRET" if client else "ID"
        raise ImproperlyConfigured(f"{name}_CLIENT_{missing}: is not set, and the other half is")
    return [{"client_id": client, "secret": secret, "key": ""}] if client else []


def rate(name: str, value: str) -> str:
    """How often something may be done, such as ``600/minute`` or ``10 per 5 minutes``."""
    try:
        parse(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name}: must be a rate such as 600/minute") from None
    return value


def domains(names: list[str]) -> frozenset[str]:
    return frozenset(name.lower().strip(".") for name in names)


def sign_in_rates(address: int) -> dict[str, str]:
    """allauth's limits: ``address`` a minute from one address, and fixed ones for each account.

    The latter (``key`` is an e-mail address) hold however many addresses take part. Of a code of
    8 letters out of 20 a guesser has three tries, and ten codes an hour.
    """
    return {
        "signup": f"{address}/m/ip",
        "login": f"{address}/m/ip",
        "login_failed": f"{max(1, address // 2)}/m/ip,5/5m/key,30/h/key",
        "request_login_code": f"{address}/m/ip,3/m/key,10/h/key",
        "reset_password": f"{address}/m/ip,3/m/key,10/h/key",
        "reset_password_from_key": f"{address}/m/ip",
        "confirm_email": "1/10s/key,10/h/key",
        "reauthenticate": "10/m/user",
        "change_password": "5/m/user",
        "manage_email": "10/m/user",
    }


def social_providers() -> dict[str, Any]:
    """Google and GitHub, each when both halves of its client are given.

    ``GITHUB_URL`` is a GitHub Enterprise server, ``GOOGLE_URL`` a server that answers as Google
    does; the tests' fakes are two such.
    """
    google: dict[str, Any] = {
        "APPS": _application(
            "GOOGLE", env.text("GOOGLE_CLIENT_ID"), env.text("GOOGLE_CLIENT_SECRET")
        ),
        "SCOPE": ["openid", "email"],
        "OAUTH_PKCE_ENABLED": True,
    }
    if url := env.url("GOOGLE_URL"):
        google |= {
            "AUTHORIZE_URL": f"{url}/o/oauth2/v2/auth",
            "ACCESS_TOKEN_URL": f"{url}/token",
            "IDENTITY_URL": f"{url}/oauth2/v2/userinfo",
            "CERTS_URL": f"{url}/oauth2/v1/certs",
            "ID_TOKEN_ISSUER": url,
        }
    github: dict[str, Any] = {
        "APPS": _application(
            "GITHUB", env.text("GITHUB_CLIENT_ID"), env.text("GITHUB_CLIENT_SECRET")
        ),
        "SCOPE": ["user:email"],
        "OAUTH_PKCE_ENABLED": True,  # an Enterprise server that knows none of it passes over it
    }
    if url := env.url("GITHUB_URL"):
        github["GITHUB_URL"] = url
    return {"google": google, "github": github}


def settings(
    *, debug: bool, https: bool, extensions: list[str], refresh_seconds: int
) -> dict[str, Any]:
    """All of allauth's settings, by name."""
    return {
        # The address of whoever calls is counted from the right of X-Forwarded-For.
        "ALLAUTH_TRUSTED_PROXY_COUNT": env.whole("TRUSTED_PROXY_COUNT", 0, most=10),
        "ALLAUTH_RATE_LIMIT_IPV6_PREFIX": 64,  # one household; as accounts.limits.network_of
        "ACCOUNT_RATE_LIMITS": sign_in_rates(env.whole("SIGN_IN_RATE_ADDRESS", 20, least=1)),
        "API_RATE_USER": rate("API_RATE_USER", env.text("API_RATE_USER", "600/minute")),
        "BUY_RATE_USER": rate("BUY_RATE_USER", env.text("BUY_RATE_USER", "60/hour")),
        "API_RATE_ADDRESS": rate("API_RATE_ADDRESS", env.text("API_RATE_ADDRESS", "120/minute")),
        "SERVICE_RATE_KEY": rate(
            "SERVICE_RATE_KEY", env.text("SERVICE_RATE_KEY", "6000/minute")
        ),
        "PROXY_RATE_ADDRESS": rate(
            "PROXY_RATE_ADDRESS", env.text("PROXY_RATE_ADDRESS", "600/minute")
        ),
        "PROXY_RATE_COUNT_TOKENS": rate(
            "PROXY_RATE_COUNT_TOKENS", env.text("PROXY_RATE_COUNT_TOKENS", "300/minute")
        ),
        "FREE_ALLOWANCES_PER_RANGE": env.whole("FREE_ALLOWANCES_PER_RANGE", 5),
        "BLOCK_DISPOSABLE_EMAIL": env.flag("BLOCK_DISPOSABLE_EMAIL", True),
        "BLOCKED_EMAIL_DOMAINS": domains(env.names("BLOCKED_EMAIL_DOMAINS")),
        "UNBLOCKED_EMAIL_DOMAINS": domains(env.names("UNBLOCKED_EMAIL_DOMAINS")),
        # Not to be switched off: bin/dev shows the admin with a password alone, nothing else does.
        "STAFF_MFA_REQUIRED": not debug,
        "STAFF_SESSION_SECONDS": env.whole("STAFF_SESSION_SECONDS", 43_200, least=300),
        "ACCOUNT_ADAPTER": "accounts.adapters.AccountAdapter",
        "ACCOUNT_USER_MODEL_USERNAME_FIELD": None,
        "ACCOUNT_LOGIN_METHODS": {"email"},
        "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "mandatory",
        "ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED": True,
        # For an address that has an account already allauth can't offer a change, and so would
        # tell the two apart.
        "ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE": False,
        "ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND": True,
        "ACCOUNT_LOGIN_BY_CODE_ENABLED": True,
        "ACCOUNT_LOGIN_BY_CODE_SUPPORTS_RESEND": True,
        "ACCOUNT_LOGIN_BY_CODE_TIMEOUT": 600,
        "ACCOUNT_PASSWORD_RESET_BY_CODE_ENABLED": True,
        "ACCOUNT_PASSWORD_RESET_BY_CODE_TIMEOUT": 600,
        "ACCOUNT_LOGIN_ON_PASSWORD_RESET": True,
        "ACCOUNT_PREVENT_ENUMERATION": True,
        "ACCOUNT_CHANGE_EMAIL": True,
        "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        "ACCOUNT_EMAIL_SUBJECT_PREFIX": "",
        "ACCOUNT_SESSION_REMEMBER": True,
        "ACCOUNT_DEFAULT_HTTP_PROTOCOL": "https" if https else "http",
        "SOCIALACCOUNT_ADAPTER": "accounts.adapters.SocialAdapter",
        "SOCIALACCOUNT_PROVIDERS": social_providers(),
        # Nobody is let into an account because a provider says the same address: see the threats.
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT": False,
        "SOCIALACCOUNT_QUERY_EMAIL": True,
        "SOCIALACCOUNT_STORE_TOKENS": False,
        "MFA_ADAPTER": "accounts.adapters.MFAAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        # Otherwise nobody with a second factor could change their address: the new one is
        # unverified until its code comes. Sign-in needs a verified address in any case.
        "MFA_ALLOW_UNVERIFIED_EMAIL": True,
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        "MFA_PASSKEY_SIGNUP_ENABLED": True,
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": debug,  # http://localhost
        "MFA_TOTP_ISSUER": env.text("SITE_NAME", "Farebox"),
        "USERSESSIONS_TRACK_ACTIVITY": False,  # accounts.middleware.LastSeen does, for less
        "HEADLESS_CLIENTS": ("app",),
        # As JSON (accounts.views.headless); the page for people takes scripts from elsewhere.
        "HEADLESS_SERVE_SPECIFICATION": True,
        "HEADLESS_SPECIFICATION_TEMPLATE_NAME": None,
        "IDP_OIDC_ADAPTER": "accounts.adapters.OIDCAdapter",
        "IDP_OIDC_ACCESS_TOKEN_EXPIRES_IN": env.whole(
            "ACCESS_TOKEN_SECONDS", 900, least=60, most=86_400
        ),
        "IDP_OIDC_REFRESH_TOKEN_EXPIRES_IN": refresh_seconds,
        "IDP_OIDC_ROTATE_REFRESH_TOKEN": True,
        # Pages of the extensions, and no others. Tokens are sent by hand there, never as cookies.
        "CORS_ALLOWED_ORIGINS": [f"chrome-extension://{name}" for name in extensions],
        "CORS_ALLOW_CREDENTIALS": False,
        "CORS_URLS_REGEX": r"^/(api|_allauth|identity)/",
        "CORS_ALLOW_HEADERS": (
            "accept", "authorization", "content-type", "idempotency-key", "if-match",
            "if-none-match", "x-api-key", "x-session-token",
        ),
        "CORS_EXPOSE_HEADERS": ("etag", "retry-after", "x-request-id"),
    }  # fmt: skip
