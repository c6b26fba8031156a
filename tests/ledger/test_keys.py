"""Idempotency keys: the same call answers the first result again, another is refused."""

import uuid

import pytest

from common.errors import BadInput, IdempotencyConflict, InsufficientCredits
from ledger import verbs
from ledger.models import Account, Grant, Hold, IdempotencyKey, Transfer
from tests.ledger.books import LEASE, balance

pytestmark = pytest.mark.usefixtures("proved")


@pytest.fixture
def world(wallet, fund):
    """A wallet of 1,000 with a lot, a hold and a capture to act on."""
    return {
        "wallet": wallet,
        "grant": fund(wallet, 1000).grant,
        "hold": verbs.hold(account=wallet, amount=50, key="h", kind="api", lease=LEASE).hold,
        "transfer": verbs.spend(account=wallet, amount=50, key="s").transfer,
    }


CALLS = {
    "grant": lambda w, n: verbs.grant(
        account=w["wallet"], amount=10 + n, kind="purchase", key="key"
    ),
    "hold": lambda w, n: verbs.hold(
        account=w["wallet"], amount=10 + n, key="key", kind="api", lease=LEASE
    ),
    "capture": lambda w, n: verbs.capture(hold=w["hold"], amount=10 + n, key="key"),
    "release": lambda w, n: verbs.release(hold=w["hold"] if n == 0 else uuid.uuid4(), key="key"),
    "spend": lambda w, n: verbs.spend(account=w["wallet"], amount=10 + n, key="key"),
    "refund": lambda w, n: verbs.refund(transfer=w["transfer"], amount=10 + n, key="key"),
    "revoke": lambda w, n: verbs.revoke(grant=w["grant"], amount=10 + n, key="key"),
}


def rows():
    return [
        list(model.objects.order_by("pk").values())
        for model in (Account, Transfer, Hold, Grant, IdempotencyKey)
    ]


@pytest.mark.parametrize("verb", CALLS)
def test_the_same_call_again_answers_the_first_result_and_does_nothing(world, verb):
    first = CALLS[verb](world, 0)
    before = rows()
    verbs.grant(account=world["wallet"], amount=1, kind="purchase", key="between")
    after_between = rows()

    assert CALLS[verb](world, 0) == first

    assert before != after_between == rows()


@pytest.mark.parametrize("verb", CALLS)
def test_another_input_is_refused(world, verb):
    CALLS[verb](world, 0)
    before = rows()

    with pytest.raises(IdempotencyConflict, match="another input"):
        CALLS[verb](world, 1)

    assert rows() == before


@pytest.mark.parametrize("verb", CALLS)
def test_another_verb_is_refused(world, verb):
    CALLS[verb](world, 0)
    before = rows()

    for other in CALLS:
        if other != verb:
            with pytest.raises(IdempotencyConflict):
                CALLS[other](world, 0)

    assert rows() == before


def test_a_refusal_leaves_the_key_free(wallet, fund):
    with pytest.raises(InsufficientCredits):
        verbs.spend(account=wallet, amount=10, key="key")
    fund(wallet, 10)

    assert verbs.spend(account=wallet, amount=10, key="key").amount == 10


@pytest.mark.parametrize("key", ["", "k" * 201, None])
def test_a_key_that_cannot_be_is_refused(wallet, key):
    with pytest.raises(BadInput, match="key"):
        verbs.grant(account=wallet, amount=1, kind="purchase", key=key)


def test_a_key_of_200_characters_is_taken(wallet):
    verbs.grant(account=wallet, amount=1, kind="purchase", key="k" * 200)

    assert balance(wallet) == (1, 0, 0)


def test_a_pruned_key_does_not_move_credits_twice(wallet):
    verbs.grant(account=wallet, amount=1, kind="purchase", key="key")
    IdempotencyKey.objects.filter(key="key").delete()

    with pytest.raises(IdempotencyConflict):
        verbs.grant(account=wallet, amount=1, kind="purchase", key="key")

    assert balance(wallet) == (1, 0, 0)


def test_what_else_was_asked_belongs_to_the_input(world):
    """As a digest, ``request``, beside whatever else the metadata says."""
    acts = {
        "hold": {"account": world["wallet"], "amount": 10, "kind": "api", "lease": LEASE},
        "capture": {"hold": world["hold"], "amount": 10},
        "spend": {"account": world["wallet"], "amount": 10},
        "refund": {"transfer": world["transfer"], "amount": 10},
    }
    for name, asked in acts.items():
        verb = getattr(verbs, name)
        first = verb(**asked, key=name, metadata={"request": "one", "actor": 1})
        before = rows()
        assert verb(**asked, key=name, metadata={"request": "one", "actor": 2}) == first
        for other in ({"request": "two"}, {}, None):
            with pytest.raises(IdempotencyConflict):
                verb(**asked, key=name, metadata=other)
        assert rows() == before
