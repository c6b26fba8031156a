"""The environment that Farebox's programs are given: the user's own, and defaults beside it."""

from collections.abc import Mapping

from devtools.home import Home

# What run.json carries, so that bin/manage meets the same settings as the running bin/dev.
SHARED = (
    *("DATABASE_URL", "REDIS_URL", "DEBUG", "ALLOWED_HOSTS", "ALLOW_DEMO", "HTTPS", "PORT"),
    *("PUBLIC_URL", "STRIPE_FAKE", "STRIPE_SECRET_KEY", "STRIPE_API_HOST", "ENABLE_PAYMENTS"),
)


class BadValue(Exception):
    """A variable holds what it must not; the message starts with its name."""


def given(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable; an empty one is taken as absent."""
    return environ.get(name, "").strip()


def flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    value = given(environ, name).lower()
    if value in {"true", "1", "yes", "on"}:
        return True
    if value in {"false", "0", "no", "off"}:
        return False
    if value:
        raise BadValue(f"{name}: must be true or false")
    return default


def whole(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = given(environ, name) or str(default)
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise BadValue(f"{name}: must be a whole number from {least} to {most}")
    return int(value)


def project_environment(environ: Mapping[str, str], home: Home) -> dict[str, str]:
    """``environ`` with the defaults of a start on this machine; what the user gave stays.

    With DEBUG off these are production settings with what loopback needs: its hosts, no HTTPS in
    front, mails in the terminal, and leave for the demo mode as long as no payments are set up.
    With STRIPE_FAKE on, payments are, and nobody's money is: there is a demo user all the same.
    """
    defaults = {"DEBUG": "true", "PORT": "8000", "SECRET_KEY": home.secret_key()}
    fake = flag(environ, "STRIPE_FAKE", False)
    if fake:
        defaults |= fake_stripe_defaults(environ, home.stripe_key())
        environ = {**environ, **around_proxies(environ)}
    if not flag(environ, "DEBUG", True):
        defaults |= {"ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]", "HTTPS": "false"}
        defaults["EMAIL_URL"] = "consolemail://"
        if fake or not given(environ, "STRIPE_SECRET_KEY"):
            defaults["ALLOW_DEMO"] = "true"
    missing = {name: value for name, value in defaults.items() if not given(environ, name)}
    return {**environ, **missing, "FAREBOX_HOME": str(home.path), "PYTHONUNBUFFERED": "1"}


def fake_stripe_defaults(environ: Mapping[str, str], key: str) -> dict[str, str]:
    """What programs need to meet the fake Stripe, ``key`` being the one made for it.

    Raises ``BadValue`` for a key that is no test key: it was meant for Stripe itself.
    """
    own = given(environ, "STRIPE_SECRET_KEY")
    if own and not own.startswith("sk_test_"):
        raise BadValue(
            "STRIPE_SECRET_KEY: leave it unset with STRIPE_FAKE=true, or give a test key"
        )
    return {"STRIPE_SECRET_KEY": own or key, "ENABLE_PAYMENTS": "true"}


def around_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The user's exceptions from their proxy, and this machine itself: the fake Stripe is on it."""
    names = [given(environ, name) for name in ("NO_PROXY", "no_proxy")]
    around = ",".join(dict.fromkeys([*filter(None, names), "127.0.0.1"]))
    return {"NO_PROXY": around, "no_proxy": around}
