"""Failure table, first row: the provider fails before the first byte.

The hold is released whole, the client gets a real status, and is told not to try again where the
provider may have charged.
"""

from dataclasses import dataclass

import pytest

from tests.fakes.providers import Behaviour, FakeProviders, Fault
from tests.proxy.by_hand import microcredits
from tests.proxy.dialects import BOTH, Dialect
from tests.proxy.outcomes import assert_keeps_secrets, assert_released
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox

pytestmark = [
    pytest.mark.xdist_group("proxy-failures"),
    pytest.mark.parametrize("dialect", BOTH, ids=str),
]
KEY_IN_WORDS = "No, {key} is a bad key, and so is Bearer {key}."


@dataclass(frozen=True)
class Failure:
    """What the provider does, and the status our client gets for it.

    ``may_charge``: the provider may have begun to work, so nobody is to try again unasked.
    """

    does: Behaviour
    status: int
    may_charge: bool = False
    retry_after: str | None = None


ANSWERS = {
    "400": Failure(Behaviour(status=400, message=KEY_IN_WORDS), 400),
    "401 with part of the key": Failure(Behaviour(status=401), 502),
    "401 with all of it": Failure(Behaviour(status=401, message=KEY_IN_WORDS), 502),
    "402": Failure(Behaviour(status=402), 502),
    "403": Failure(Behaviour(status=403, message=KEY_IN_WORDS), 502),
    "404": Failure(Behaviour(status=404, message=KEY_IN_WORDS), 404),
    "413": Failure(Behaviour(status=413), 413),
    "422": Failure(Behaviour(status=422, message=KEY_IN_WORDS), 400),
    "429": Failure(Behaviour(status=429, retry_after="17"), 429, retry_after="17"),
    "429 for an hour": Failure(Behaviour(status=429, retry_after="3600"), 429, retry_after="60"),
    "429 until a date": Failure(
        Behaviour(status=429, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), 429, retry_after="5"
    ),
    "500": Failure(Behaviour(status=500, message=KEY_IN_WORDS), 502),
    "502 in HTML": Failure(Behaviour(status=502, html=True), 502),
    "400 in HTML": Failure(Behaviour(status=400, html=True), 400),
    "503": Failure(Behaviour(status=503), 503),
    "504": Failure(Behaviour(status=504), 504, may_charge=True),
    "529": Failure(Behaviour(status=529, retry_after="4"), 503, retry_after="4"),
    "redirect": Failure(Behaviour(redirect="http://127.0.0.1:1/{key}"), 502),
    "400 cut in the middle": Failure(Behaviour(status=400, missing_bytes=50), 400),
    "reset before the status": Failure(
        Behaviour(fault=Fault.cut("status", how="reset")), 502, True
    ),
    "closed before the status": Failure(Behaviour(fault=Fault.cut("status")), 502, True),
    "reset after the headers": Failure(
        Behaviour(fault=Fault.cut("headers", how="reset")), 502, True
    ),
    "closed after the headers": Failure(Behaviour(fault=Fault.cut("headers")), 502, True),
}  # fmt: skip

STREAMS = {
    "nothing, cleanly": Failure(Behaviour(fault=Fault.cut("headers", how="clean")), 502, True),
    "half an event": Failure(Behaviour(fault=Fault.cut("headers", mid_event=True)), 502, True),
    "half an event, cleanly": Failure(
        Behaviour(fault=Fault.cut("headers", how="clean", mid_event=True)), 502, True
    ),
    "an error event": Failure(
        Behaviour(fault=Fault.error("headers", message=KEY_IN_WORDS)), 502, True
    ),
    "not a stream": Failure(Behaviour(content_type="text/html"), 502, True),
    "an endless line": Failure(Behaviour(fault=Fault.flood("headers", bound=2**20)), 502, True),
}

PLAIN = {
    "less than was announced": Failure(Behaviour(missing_bytes=10), 502, True),
    "not JSON": Failure(Behaviour(fault=Fault.flood("headers", bound=99)), 502, True),
    "too much": Failure(Behaviour(events=5, text="x" * 2**20), 502, True),
    "gzip cut off": Failure(
        Behaviour(gzip=True, fault=Fault.cut("headers", how="clean", mid_event=True)), 502, True
    ),
}  # fmt: skip


def check(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    failure: Failure,
    stream: bool,
) -> None:
    fake.script(failure.does)
    reply = dialect.ask(farebox, rider.secret, stream=stream)
    dialect.assert_refused(reply, failure.status)
    assert reply.whole
    absorbed = 0
    if stream and failure.does.content_type:  # it was generated all the same, five words of it
        absorbed = microcredits(dialect.model, input=10, output=5)
    assert_released(rider, cost=absorbed)
    assert_keeps_secrets(reply, fake)
    assert reply.headers.get("x-should-retry") == ("false" if failure.may_charge else None)
    assert reply.headers.get("retry-after") == (
        failure.retry_after or ("5" if failure.status in {429, 503} else None)
    )
    assert "x-farebox-call" not in reply.headers
    assert len(fake.requests) == 1, "asked once, and no redirect followed"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
@pytest.mark.parametrize("failure", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_none(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    failure: Failure,
    stream: bool,
) -> None:
    check(farebox, fake, rider, dialect, failure, stream)


@pytest.mark.parametrize("failure", STREAMS.values(), ids=STREAMS)
def test_a_stream_without_its_first_event(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, failure: Failure
) -> None:
    check(farebox, fake, rider, dialect, failure, True)


@pytest.mark.parametrize("failure", PLAIN.values(), ids=PLAIN)
def test_a_plain_answer_that_is_broken(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect, failure: Failure
) -> None:
    check(farebox, fake, rider, dialect, failure, False)


@pytest.mark.parametrize(
    ("given", "told"), [(400, 400), (429, 429), (529, 503), (500, 502)], ids=str
)
def test_an_error_event_after_an_early_200_keeps_its_meaning(
    farebox: Farebox,
    fake: FakeProviders,
    rider: Rider,
    dialect: Dialect,
    given: int,
    told: int,
) -> None:
    fake.script(Behaviour(fault=Fault.error("headers", status=given, message=KEY_IN_WORDS)))
    reply = dialect.ask(farebox, rider.secret, stream=True)
    if dialect.name == "openai" and given == 529:
        told = 502  # OpenAI's error says no more than that the server failed
    dialect.assert_refused(reply, told)
    assert_released(rider)
    assert_keeps_secrets(reply, fake)


def test_the_providers_words_on_a_bad_request_reach_the_client(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    fake.script(Behaviour(status=400, message="top_k: must be small"))
    message = dialect.assert_refused(dialect.ask(farebox, rider.secret), 400)
    assert "top_k: must be small" in message


def test_a_later_call_is_none_the_worse(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    fake.once(
        Behaviour(fault=Fault.cut("status", how="reset")),
        Behaviour(fault=Fault.cut("headers", how="clean", mid_event=True)),
        Behaviour(status=500),
    )
    statuses = [dialect.ask(farebox, rider.secret, stream=True).status for _ in range(4)]
    assert statuses == [502, 502, 502, 200]
    assert [call.status for call in rider.calls()] == [*["failed"] * 3, "completed"]
