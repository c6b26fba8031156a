"""Reading settings from the environment, loudly.

A value that is missing or malformed raises ``ImproperlyConfigured`` whose message starts with the
name of the variable, so that a bad deployment stops at its start and says where to look.
Every name read here or in ``settings.py`` is listed in ``.env.example``.
"""

import os
from decimal import Decimal, InvalidOperation
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import environ
import psycopg
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

from common import addresses

_SMTP_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}


def _fail(name: str, problem: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"{name}: {problem}")


def text(name: str, default: str = "") -> str:
    """A string; surrounding blanks are dropped, and an empty value means the default."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    """A boolean: true/false, 1/0, yes/no, on/off."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"true", "1", "yes", "on"}:
        return True
    if value in {"false", "0", "no", "off"}:
        return False
    raise _fail(name, "must be true or false")


def whole(name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
    """A whole number within bounds, both included."""
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise _fail(name, "must be a whole number") from None
    if not least <= number <= most:
        raise _fail(name, f"must be between {least} and {most}")
    return number


def decimal(name: str, default: str, *, above: str = "0", most: str = "1000000") -> Decimal:
    """A decimal number greater than ``above`` and at most ``most``; never a float."""
    value = text(name, default)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _fail(name, "must be a decimal number such as 0.10") from None
    if not number.is_finite() or not Decimal(above) < number <= Decimal(most):
        raise _fail(name, f"must be above {above} and at most {most}")
    return number


def names(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A list of words, separated by commas."""
    return [word.strip() for word in text(name).split(",") if word.strip()] or list(default)


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of ``allowed``, in upper case."""
    value = text(name, default).upper()
    if value not in allowed:
        raise _fail(name, f"must be one of {', '.join(allowed)}")
    return value


def redis(name: str, default: str) -> str:
    """The address of a Redis or Valkey server."""
    value = text(name, default)
    if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise _fail(name, "must be a redis://, rediss:// or unix:// address")
    return value


def url(name: str, default: str = "") -> str:
    """An http(s) address without a trailing slash. Plain http is taken on loopback only."""
    value = text(name, default).rstrip("/")
    if not value:
        return ""
    try:
        return addresses.checked(value)
    except ValueError as problem:
        raise _fail(name, str(problem)) from None


def provider_keys() -> dict[str, str]:
    """The variables that end in ``_API_KEY``, which keys of providers may name in the admin."""
    return {name: text(name) for name in os.environ if name.endswith("_API_KEY") and text(name)}


def mailbox(name: str, default: str) -> str:
    """Whom mails are from: an address, with a name before it or without."""
    value = text(name, default)
    shown, address = parseaddr(value)
    try:
        validate_email(address)
    except ValidationError:
        raise _fail(name, "must be an address, such as Farebox <mail@farebox.example>") from None
    if not shown.isprintable():
        raise _fail(name, "must be printable")
    return value


def mail(name: str, default: str = "") -> dict[str, Any]:
    """How mails leave, as Django's settings: ``MAIL_BACKEND`` and ``EMAIL_…``.

    ``smtp://``, ``smtp+tls://`` (STARTTLS) or ``smtp+ssl://`` with ``user:password@host:port``;
    ``consolemail://`` shows them in the worker's output; ``filemail:///folder`` keeps them there.
    """
    value = text(name, default)
    if not value:
        raise _fail(
            name, "is not set; give a mail server, such as smtp+tls://user:password@host:587"
        )
    try:
        parts = urlsplit(value)
        known = {*_SMTP_PORTS, "consolemail", "filemail"}
        if parts.scheme not in known:
            raise _fail(
                name, "must be smtp://, smtp+tls://, smtp+ssl://, consolemail://, filemail://"
            )
        if parts.scheme in _SMTP_PORTS and not parts.hostname:
            raise _fail(name, "names no mail server")
        if parts.scheme == "filemail" and (parts.netloc or parts.path in {"", "/"}):
            raise _fail(name, "must be filemail:/// and the path of a folder")
        if parts.query or parts.fragment:
            raise _fail(name, "takes no options; write # and ? in a password as %23 and %3F")
        found: dict[str, Any] = dict(environ.Env.email_url_config(value))
    except ValueError:
        raise _fail(name, "is not an address") from None
    backend = found.pop("EMAIL_BACKEND")
    if parts.scheme == "consolemail":
        backend = "accounts.mail.Terminal"
    found["EMAIL_FILE_PATH"] = parts.path if parts.scheme == "filemail" else None
    found["EMAIL_PORT"] = found["EMAIL_PORT"] or _SMTP_PORTS.get(parts.scheme, 25)
    return found | {"MAIL_BACKEND": backend, "EMAIL_TIMEOUT": 20}


def database(name: str) -> dict[str, Any]:
    """Django's database settings from any connection string that libpq understands."""
    value = text(name)
    if not value:
        raise _fail(
            name,
            "is not set; bin/dev, bin/test and bin/manage set it, "
            "or give a PostgreSQL address such as postgresql://user:password@host/farebox",
        )
    try:
        parts = psycopg.conninfo.conninfo_to_dict(value)
    except psycopg.ProgrammingError:
        raise _fail(name, "is not a PostgreSQL connection string") from None
    if not parts.get("dbname"):
        raise _fail(name, "names no database")
    moved = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    settings: dict[str, Any] = {new: str(parts.pop(old, "")) for old, new in moved.items()}
    settings["PORT"] = str(parts.pop("port", ""))
    settings["ENGINE"] = "django.db.backends.postgresql"
    settings["OPTIONS"] = parts
    return settings
