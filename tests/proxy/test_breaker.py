"""Circuit breakers, on a clock of the test's own."""

import pytest

from proxy.breaker import FAULTS_IN_A_ROW, LONGEST, MOST_ASKED, SHORTEST, Breaker, Fault

AT_ONCE = [Fault.UNREACHABLE, Fault.REFUSED, Fault.LIMITED, Fault.FORBIDDEN]


@pytest.fixture
def breaker() -> Breaker:
    return Breaker("openai/main")


def fail(breaker: Breaker, fault: Fault, now: float, asked: float | None = None) -> float | None:
    return breaker.fail(breaker.enter(now), fault, now, asked)


def open_at(breaker: Breaker, now: float = 0.0) -> float:
    seconds = fail(breaker, Fault.LIMITED, now)
    assert seconds is not None
    return now + seconds


def test_trouble_opens_it_after_three_in_a_row(breaker: Breaker) -> None:
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert fail(breaker, Fault.TROUBLE, 0) is None
        assert breaker.lets_through(0)
    breaker.succeed(breaker.enter(0))
    for _ in range(FAULTS_IN_A_ROW - 1):
        assert fail(breaker, Fault.TROUBLE, 0) is None
    assert fail(breaker, Fault.TROUBLE, 0) == SHORTEST
    assert not breaker.lets_through(SHORTEST - 0.01)


@pytest.mark.parametrize("fault", AT_ONCE)
def test_some_faults_open_it_at_once(breaker: Breaker, fault: Fault) -> None:
    seconds = LONGEST if fault in {Fault.REFUSED, Fault.FORBIDDEN} else SHORTEST
    assert fail(breaker, fault, 10) == seconds
    assert breaker.why is fault
    assert breaker.state == "open"
    assert not breaker.lets_through(10 + seconds - 0.01)
    assert breaker.lets_through(10 + seconds)


def test_it_waits_twice_as_long_each_time_up_to_a_minute(breaker: Breaker) -> None:
    now, lengths = 0.0, []
    for _ in range(7):
        seconds = fail(breaker, Fault.UNREACHABLE, now)
        lengths.append(seconds)
        now += seconds or 0
    assert lengths == [2, 4, 8, 16, 32, 60, 60]


def test_a_success_starts_the_lengths_anew(breaker: Breaker) -> None:
    now = open_at(breaker, open_at(breaker))
    assert breaker.succeed(breaker.enter(now)) is True
    assert breaker.state == "closed"
    assert fail(breaker, Fault.LIMITED, now) == SHORTEST


@pytest.mark.parametrize(
    ("asked", "waits"), [(7, 7), (0, 1), (0.2, 1), (120, 120), (10**8, MOST_ASKED)]
)
def test_what_the_provider_asks_is_honoured_within_bounds(
    breaker: Breaker, asked: float, waits: float
) -> None:
    assert fail(breaker, Fault.LIMITED, 0, asked) == waits


def test_half_open_it_lets_one_try(breaker: Breaker) -> None:
    now = open_at(breaker)
    probe = breaker.enter(now)
    assert breaker.state == "half_open"
    assert not breaker.lets_through(now + 1_000), "one is trying"
    assert breaker.fail(probe, Fault.TROUBLE, now) == 2 * SHORTEST
    assert not breaker.lets_through(now)
    assert breaker.lets_through(now + 2 * SHORTEST)


def test_a_probe_that_says_nothing_lets_the_next_one_try(breaker: Breaker) -> None:
    now = open_at(breaker)
    probe = breaker.enter(now)
    breaker.leave(probe)
    assert breaker.state == "open"
    assert breaker.lets_through(now)


def test_only_the_probe_itself_gives_its_place_up(breaker: Breaker) -> None:
    now = open_at(breaker)
    breaker.enter(now)
    breaker.leave(breaker.enter(now))
    assert breaker.state == "half_open"
    assert not breaker.lets_through(now)


def test_what_began_before_it_opened_counts_no_more(breaker: Breaker) -> None:
    early = [breaker.enter(0) for _ in range(10)]
    until = open_at(breaker)
    assert breaker.succeed(early[0]) is False, "an old success does not close it"
    for ticket in early[1:]:
        assert breaker.fail(ticket, Fault.UNREACHABLE, 1) is None, "nor do old faults prolong it"
    assert breaker.open_until == until
    assert breaker.lets_through(until)


def test_who_goes_through_an_open_one_all_the_same_may_close_it(breaker: Breaker) -> None:
    open_at(breaker)
    ticket = breaker.enter(0.5)
    assert breaker.state == "open"
    assert breaker.succeed(ticket) is True
    assert breaker.lets_through(0.5)
