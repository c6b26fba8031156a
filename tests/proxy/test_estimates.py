"""How far an estimate is from the truth, once a model has been learned from completed calls."""

from dataclasses import replace

import pytest

from proxy.ratios import Ratios
from tests.fakes.providers import Behaviour, FakeProviders, Fault, Usage
from tests.proxy.dialects import ANTHROPIC, OPENAI, Dialect
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for

pytestmark = pytest.mark.xdist_group("proxy-failures")
# Eleven bytes an event and two tokens each: 5.5 bytes a token, where four are the first guess.
WORDS = tuple(f"syllables{n % 10} " for n in range(10))


# Models that no other test completes a call of: what is learned outlives a test.
UNKNOWN = (replace(OPENAI, model="gpt-4.1-nano"), replace(ANTHROPIC, model="claude-3-haiku"))


@pytest.mark.parametrize("dialect", UNKNOWN, ids=str)
def test_streams_cut_half_way_are_estimated_within_a_tenth(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    said = Behaviour(
        events=400, text=WORDS, tokens_per_event=2, events_per_write=40, usage=Usage(input=2_500)
    )
    question = "word " * 2_000
    fake.script(said)
    for _ in range(8):
        assert dialect.ask(farebox, rider.secret, words=question, stream=True).whole
    fake.script(replace(said, fault=Fault.cut(200)))
    assert not dialect.ask(farebox, rider.secret, words=question, stream=True).whole
    wait_for(lambda: len(rider.calls()) == 9)
    call = rider.calls()[-1]
    served = fake.requests[-1]
    assert call.estimated
    assert served.output_tokens >= 400
    assert call.output_tokens == pytest.approx(served.output_tokens, rel=0.1)
    assert call.input_tokens == pytest.approx(served.input_tokens, rel=0.1)


def test_until_a_model_is_known_four_bytes_are_a_token() -> None:
    ratios = Ratios()
    assert ratios.output_tokens("new", 4_000) == 1_000
    assert ratios.output_tokens("new", 1) == 1, "rounded up"
    assert ratios.output_tokens("new", 0) == 0


def test_what_is_learned_outweighs_the_first_guess() -> None:
    ratios = Ratios()
    for _ in range(100):
        ratios.learn("m", 2_000, 1_000, 3_000, 1_000)  # two and three bytes a token
    assert ratios.input_tokens("m", 20_000) == pytest.approx(10_000, rel=0.02)
    assert ratios.output_tokens("m", 30_000) == pytest.approx(10_000, rel=0.02)
    assert ratios.output_tokens("other", 4_000) == 1_000
