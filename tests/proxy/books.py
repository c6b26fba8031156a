"""A fleet whose every call can be worked out by hand, and the provider's own bill beside our books.

Two protocols and both policies of leaving make four providers. Every model is asked with a hundred
tokens of input, says words of one token and four bytes each, and is priced by ``fleet.PRICE``: an
estimate by bytes is exact, so that the two sides must agree to the microcredit.
"""

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import httpx
from django.db.models import Sum

from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.proxy.crowd import INPUT_TOKENS
from tests.proxy.dialects import ANTHROPIC, OPENAI, Dialect
from tests.proxy.fleet import IN, OUT, add_model, add_provider
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from usage.models import Call

WORDS = 10
SAID = Behaviour(events=WORDS, text="word", usage=Usage(input=INPUT_TOKENS))
POLICIES = ("cancel", "drain")


@dataclass(frozen=True)
class Kind:
    """One way of being asked: a protocol, at a provider with a policy."""

    dialect: Dialect
    policy: str

    @property
    def provider(self) -> str:
        return f"{self.dialect.name}-{self.policy}"

    def asking(self, name: str) -> Dialect:
        """The dialect, for the model that ``name`` has here."""
        return replace(self.dialect, model=f"{name}-{self.provider}")


KINDS = [Kind(dialect, policy) for dialect in (OPENAI, ANTHROPIC) for policy in POLICIES]


def add_fleet(fake: FakeProviders, names: Iterable[str]) -> None:
    """The four providers, and each model at each of them."""
    for kind in KINDS:
        of_openai = kind.dialect is OPENAI
        base_url = fake.openai_base_url if of_openai else fake.anthropic_base_url
        key = fake.openai_key if of_openai else fake.anthropic_key
        protocol = kind.dialect.name
        add_provider(kind.provider, base_url, {key: 1}, kind=protocol, on_leaving=kind.policy)
    for name in names:
        for kind in KINDS:
            add_model(kind.asking(name).model, [(kind.provider, "")])


def wait_until_listed(farebox: Farebox, rider: Rider, names: Iterable[str]) -> None:
    """Until the running server has read the fleet's models: seconds."""
    wanted = {kind.asking(name).model for name in names for kind in KINDS}

    key = {"authorization": f"Bearer {rider.secret}"}
    versions: tuple[dict[str, str], ...] = ({}, {"anthropic-version": "2023-06-01"})
    with httpx.Client(base_url=farebox.url, headers=key, trust_env=False) as client:

        def is_listed() -> bool:
            listed: set[str] = set()
            for version in versions:
                answer = client.get("/v1/models", headers=version)
                listed |= {model["id"] for model in answer.json()["data"]}
            if not wanted <= listed:
                time.sleep(0.2)  # it reads them every few seconds
            return wanted <= listed

        wait_for(is_listed, 30, "the server knows the fleet")


@dataclass(frozen=True)
class Sums:
    """Of one model's calls, microcredits: what the provider charges, what our books say that it
    does, what the users paid, and what was written off: the operator's."""

    bill: int
    cost: int
    captured: int
    written_off: int


def sums(fake: FakeProviders) -> dict[str, Sums]:
    """Both sides' sums by model, of everything since the books were clean."""
    bill: dict[str, int] = defaultdict(int)
    for served in fake.requests:
        bill[served.model] += IN * served.input_tokens + OUT * served.output_tokens
    ours = {
        row["model"]: row
        for row in Call.objects.values("model").annotate(
            cost_=Sum("cost"), captured=Sum("spent"), owing=Sum("written_off")
        )
    }
    assert ours.keys() == bill.keys()
    return {
        model: Sums(bill[model], row["cost_"], row["captured"], row["cost_"] - row["captured"])
        for model, row in sorted(ours.items())
    }
