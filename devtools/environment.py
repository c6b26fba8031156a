"""The environment that Farebox's programs are given: the user's own, and defaults beside it."""

from collections.abc import Mapping

from devtools.home import Home

# What run.json carries, so that bin/manage meets the same settings as the running bin/dev.
SHARED = ("DATABASE_URL", "REDIS_URL", "DEBUG", "ALLOWED_HOSTS", "ALLOW_DEMO", "HTTPS", "PORT")


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
    """
    defaults = {"DEBUG": "true", "PORT": "8000", "SECRET_KEY": home.secret_key()}
    if not flag(environ, "DEBUG", True):
        defaults |= {"ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]", "HTTPS": "false"}
        defaults["EMAIL_URL"] = "consolemail://"
        if not given(environ, "STRIPE_SECRET_KEY"):
            defaults["ALLOW_DEMO"] = "true"
    missing = {name: value for name, value in defaults.items() if not given(environ, name)}
    return {**environ, **missing, "FAREBOX_HOME": str(home.path), "PYTHONUNBUFFERED": "1"}
