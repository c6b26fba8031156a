"""What each way of ending looks like in the books. Used by the tests of the failure table."""

from tests.fakes.providers import FakeProviders
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import Reply
from tests.proxy.riders import Rider
from tests.proxy.server import SECRET_KEY
from usage.models import Call


def assert_released(rider: Rider, *, cost: int = 0) -> Call:
    """The call failed before its first byte: all is as it was, but for the record of it, which says
    what the provider asks the operator for an answer that could not be passed on."""
    call = rider.only_call()
    assert call.status == Call.Status.FAILED
    assert (call.spent, call.written_off, call.cost, call.estimated) == (0, 0, cost, False)
    assert (call.input_tokens, call.output_tokens) == (0, 0)
    assert call.error
    assert (rider.spent, rider.captures()) == (0, [])
    assert rider.month() == (0, 0, 0, 0)
    return call


def assert_paid_for(rider: Rider, status: str, *, estimated: bool) -> Call:
    """The call ended early: what its record counts is what was paid, once, by its price."""
    call = rider.only_call()
    assert call.status == status
    assert call.estimated is estimated
    assert call.input_tokens > 0
    price = microcredits(call.model, input=call.input_tokens, output=call.output_tokens)
    assert call.spent == call.cost == price
    assert [transfer.amount for transfer in rider.captures()] == [price]
    assert rider.spent == price
    assert rider.month() == (1, call.input_tokens, call.output_tokens, price)
    return call


def assert_keeps_secrets(reply: Reply, fake: FakeProviders) -> None:
    """Neither a provider's key nor its head or tail is in anything the client can see."""
    seen = reply.everything()
    for secret in (fake.openai_key, fake.anthropic_key, SECRET_KEY):
        assert secret not in seen
        assert secret[:14] not in seen
        assert secret[-8:] not in seen
