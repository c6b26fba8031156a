"""The models that can be called now, with the prices in force, as plain values in memory.

A process reads it whole every few seconds (``load``), so that a paid call looks nothing up and a
change made in the admin reaches every process within seconds.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import ModelNotFound
from ledger.database import Statement, verb
from usage.pricelist import canonical_name
from usage.prices import Rates

# Look-ups of other names are remembered, so nobody may fill that memory with long ones.
_LONGEST_NAME = 200

_SQL = """
SELECT coalesce(jsonb_agg(jsonb_build_array(
    m.name, m.provider, m.protocol, m.context_window, m.max_output_tokens,
    extract(epoch FROM m.created)::bigint, p.id, p.rates, p.cost_rates, r.routes
    ) ORDER BY m.name), '[]')
FROM usage_aimodel m
JOIN LATERAL (
    SELECT id, rates, cost_rates FROM usage_price WHERE model_id = m.id ORDER BY id DESC LIMIT 1
) p ON true
CROSS JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_array(v.name, o.upstream_name) ORDER BY o.position, o.id) AS routes
    FROM usage_modelroute o JOIN usage_provider v ON v.id = o.provider_id WHERE o.model_id = m.id
) r
WHERE m.enabled
"""


@dataclass(frozen=True)
class Route:
    """A provider of a model, by name, and the model's name there: empty for its own."""

    provider: str
    upstream_name: str = ""


@dataclass(frozen=True)
class PricedModel:
    """A model with its price in force. ``price`` is the version; bounds are in tokens; ``routes``
    are its providers that can answer, in the order they are tried."""

    name: str
    provider: str
    protocol: str
    context_window: int | None
    max_output_tokens: int | None
    created: int
    price: int
    rates: Rates
    cost_rates: Rates
    routes: tuple[Route, ...] = ()

    def speaks(self, protocol: str) -> bool:
        return self.protocol in {protocol, "any"}


class Catalog:
    """Models by name."""

    def __init__(self, models: Sequence[PricedModel] = ()) -> None:
        self.models: Mapping[str, PricedModel] = {model.name: model for model in models}

    def speaking(self, protocol: str) -> list[PricedModel]:
        """The models that answer in ``protocol`` ("openai" or "anthropic")."""
        return [model for model in self.models.values() if model.speaks(protocol)]

    def find(self, name: str, protocol: str) -> PricedModel:
        """The model a client means by ``name``, dated names included.

        Raises ``ModelNotFound``: unknown, unpriced, disabled, or of the other protocol.
        """
        model = self.models.get(name) or self._by_other_name(name, protocol)
        if model is None:
            raise ModelNotFound(
                f"There is no model {name[:100]!r} here; GET /v1/models lists them.", param="model"
            )
        if not model.speaks(protocol):
            route = "/v1/messages" if model.protocol == "anthropic" else "/v1/chat/completions"
            raise ModelNotFound(f"The model {model.name!r} answers at {route}.", param="model")
        return model

    def _by_other_name(self, name: str, protocol: str) -> PricedModel | None:
        if len(name) > _LONGEST_NAME:
            return None
        canonical = canonical_name(protocol, name)
        return self.models.get(canonical) if canonical else None


@verb
def load(*, providers: Sequence[str]) -> Statement[Catalog]:
    """Read the models that one of ``providers`` answers for, and their prices, in one query."""

    def read(row: Sequence[Any]) -> Catalog:
        rows = json.loads(row[0]) if isinstance(row[0], str) else row[0]
        found = [_priced(frozenset(providers), *values) for values in rows]
        return Catalog([model for model in found if model is not None])

    return Statement(_SQL, {}, read)


def _priced(
    providers: Collection[str],
    name: str,
    provider: str,
    protocol: str,
    window: int | None,
    most: int | None,
    created: int,
    price: int,
    rates: Mapping[str, Any],
    cost: Mapping[str, Any],
    routes: Sequence[Sequence[str]] | None,
) -> PricedModel | None:
    """A row of the query, its rates read; ``None`` when nobody can answer for it now."""
    ways = tuple(Route(*route) for route in routes or [(provider,)] if route[0] in providers)
    if not ways:
        return None
    own, asked = Rates.from_json(rates), Rates.from_json(cost)
    return PricedModel(
        name, ways[0].provider, protocol, window, most, created, price, own, asked, ways
    )
