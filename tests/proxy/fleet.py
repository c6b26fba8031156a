"""Providers, keys and routes of a test's own, as staff would enter them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.test import override_settings

from tests.proxy.server import SECRET_KEY
from usage.models import AIModel, ModelRoute, Price, Provider, ProviderKey
from usage.providers import seal
from usage.sync import set_price

# US dollars per million tokens: 10 microcredits a token of input, 20 of output.
PRICE = {"input": "1", "output": "2"}
IN, OUT = 10, 20


def add_provider(
    name: str, base_url: str, keys: Mapping[str, int], **options: Any
) -> list[ProviderKey]:
    """A provider with these keys, by weight, sealed for the server of the tests."""
    provider = Provider.objects.create(name=name, base_url=base_url, **{"kind": "openai"} | options)
    return [add_key(provider, secret, weight) for secret, weight in keys.items()]


def add_key(provider: Provider, secret: str, weight: int = 1) -> ProviderKey:
    with override_settings(SECRET_KEY=SECRET_KEY, SECRET_KEY_FALLBACKS=[]):
        stored = seal(secret, provider.base_url)
    return provider.keys.create(label=f"label of {secret[-1]}", weight=weight, secret=stored)


def add_model(name: str, routes: Sequence[tuple[str, str]]) -> AIModel:
    """A model priced by hand, with routes of (provider, name there)."""
    protocol = Provider.objects.get(name=routes[0][0]).kind
    model = AIModel.objects.create(
        name=name, provider=routes[0][0], protocol=protocol, override=PRICE
    )
    set_price(model, {}, (), "")
    for position, (provider, there) in enumerate(routes):
        ModelRoute.objects.create(
            model=model,
            provider=Provider.objects.get(name=provider),
            upstream_name=there,
            position=position,
        )
    return model


@contextmanager
def put_back() -> Iterator[None]:
    """Whatever is added within is gone after it, however it ends."""
    before = {table: set(table.objects.values_list("pk", flat=True)) for table in _TABLES}
    try:
        yield
    finally:
        for table in _TABLES:
            # Calls keep naming their price, as far as Django knows; the books are emptied
            # elsewhere.
            new = table.objects.exclude(pk__in=before[table])
            new._raw_delete(new.db)


_TABLES: tuple[Any, ...] = (ModelRoute, ProviderKey, Price, AIModel, Provider)
