"""The providers that can answer now, with their keys, as plain values in memory.

A process reads them whole every few seconds (``load``), like the catalog, so that a change in the
admin reaches every process within seconds. Secrets are decrypted here and stay in memory: nothing
that is shown, logged or raised holds one.

A stored secret is sealed together with the address it was entered for, and opens for no other, so
that changing a provider's address can't carry its keys elsewhere.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from django.conf import settings

from accounts import crypto
from common import addresses
from common.logging import keep_secret
from ledger.database import Statement, verb
from usage.models import Provider

log = structlog.get_logger(__name__)

# The names a key may give: those of keys, so that nobody can have another secret sent anywhere.
ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,90}_API_KEY")

_SQL = """
SELECT coalesce(jsonb_agg(jsonb_build_array(
    p.name, p.kind, p.base_url, p.on_leaving, p.output_field, p.asks_usage, (
        SELECT coalesce(jsonb_agg(jsonb_build_array(
            k.id, k.label, k.weight, k.secret, k.env) ORDER BY k.id), '[]')
        FROM usage_providerkey k WHERE k.provider_id = p.id AND k.enabled
    )) ORDER BY p.id), '[]')
FROM usage_provider p WHERE p.enabled
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key that can be used now. ``id`` and ``label`` name it in logs and metrics."""

    id: int
    label: str
    weight: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Configured:
    """A provider that can answer: it is enabled and has a key, or needs none."""

    name: str
    kind: str
    base_url: str
    drains: bool
    output_field: str
    asks_usage: bool
    keys: tuple[Key, ...]


class Sealed(Exception):
    """A stored key that can't be used; the message says what to do about it."""


def seal(secret: str, base_url: str) -> str:
    """Encrypt a key for storage, for use at this address and no other."""
    return crypto.encrypt(json.dumps([addresses.origin(base_url), secret]))


def unseal(stored: str, base_url: str) -> str:
    """Undo ``seal``. Raises ``Sealed``."""
    try:
        origin, secret = json.loads(crypto.decrypt(stored))
    except (crypto.Unreadable, ValueError):
        raise Sealed("was encrypted under another SECRET_KEY: enter it again") from None
    if origin != addresses.origin(base_url):
        raise Sealed("was entered for another address: enter it again") from None
    return str(secret)


def shown(secret: str) -> str:
    """What of a key is shown, to tell it from others: nothing of one too short to spare it."""
    return f"{secret[:3]}…{secret[-4:]}" if len(secret) >= 20 else "…"


def address_of(name: str, base_url: str) -> str:
    """Where a provider is: its own address, or the environment's; empty when there is none."""
    return base_url or _environment(f"{name.upper()}_BASE_URL")


def secret_of(env: str) -> str:
    """The key that an environment variable holds; empty when it is not set."""
    return _environment(env) or settings.PROVIDER_API_KEYS.get(env, "")


def goes_to(env: str, name: str, base_url: str) -> bool:
    """Whether a variable's key may be sent to a provider: the two that have an address in the
    environment go nowhere else."""
    return env not in _ENVIRONMENT or (env == f"{name.upper()}_API_KEY" and not base_url)


_ENVIRONMENT = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")


def _environment(name: str) -> str:
    return str(getattr(settings, name)) if name in _ENVIRONMENT else ""


@verb
def load() -> Statement[tuple[Configured, ...]]:
    """Read every provider that can answer, in one query. ``demo`` answers only when no other
    can."""

    def read(row: Sequence[Any]) -> tuple[Configured, ...]:
        rows = json.loads(row[0]) if isinstance(row[0], str) else row[0]
        found = [_configured(*values) for values in rows]
        real = [one for one in found if one.kind != Provider.Kind.DEMO and one.keys]
        return tuple(real or [one for one in found if one.kind == Provider.Kind.DEMO])

    return Statement(_SQL, {}, read)


def configured_providers() -> list[str]:
    """The names of the providers that can answer now."""
    return [provider.name for provider in load()]


def _configured(
    name: str, kind: str, base_url: str, on_leaving: str, output_field: str, asks_usage: bool,
    keys: Sequence[Any],
) -> Configured:  # fmt: skip
    address = address_of(name, base_url)
    found = [_key(name, base_url, address, *values) for values in keys] if address else []
    drains = on_leaving == Provider.OnLeaving.DRAIN
    usable = tuple(key for key in found if key is not None)
    return Configured(name, kind, address, drains, output_field, asks_usage, usable)


# What was already said of keys that can't be used: once is enough.
_told: set[tuple[int, str]] = set()


def _key(
    provider: str, own_address: str, address: str, id: int, label: str, weight: int, stored: str,
    env: str,
) -> Key | None:  # fmt: skip
    if env:
        secret = secret_of(env) if goes_to(env, provider, own_address) else ""
    else:
        try:
            secret = unseal(stored, address)
        except Sealed as problem:
            if (id, stored) not in _told:
                _told.add((id, stored))
                log.error("key not usable", provider=provider, key=label, problem=str(problem))
            return None
    if not secret:
        return None
    keep_secret(secret)
    return Key(id, label, weight, secret)


def state_of(key: Any) -> str:
    """What staff is told of a stored key (a ``ProviderKey``): empty when it can be used."""
    provider = key.provider
    address = address_of(provider.name, provider.base_url)
    if not address:
        return "the provider has no address"
    if key.env:
        if not goes_to(key.env, provider.name, provider.base_url):
            return f"{key.env} goes to its own provider only"
        return "" if secret_of(key.env) else f"{key.env} is not set"
    try:
        unseal(key.secret, address)
    except Sealed as problem:
        return str(problem)
    return ""


def names() -> Mapping[str, str]:
    """Every provider there is, by name, with its kind."""
    return dict(Provider.objects.values_list("name", "kind"))
