"""``base_url`` and ``api_base`` are refused at any depth, however they are spelled."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import BOTH, OPENAI, Dialect, Reply
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox

pytestmark = pytest.mark.xdist_group("proxy-input")
both = pytest.mark.parametrize("dialect", BOTH, ids=str)
EVIL = '"http://169.254.169.254/"'


def escaped(name: str) -> str:
    """The name with every letter as a \\u escape: the same name to a JSON parser."""
    return "".join(f"\\u{ord(letter):04x}" for letter in name)


SPELLINGS = [
    spelling
    for name in ("base_url", "api_base")
    for spelling in (
        name,
        escaped(name),
        name.replace("_", "\\u005F"),
        name[:-1] + escaped(name[-1]),
    )
]
PLACES: dict[str, Callable[[str], str]] = {
    "at the top": lambda entry: entry,
    "in metadata": lambda entry: f'"metadata": {{{entry}}}',
    "in a list": lambda entry: f'"extra": [1, [{{{entry}}}]]',
    "deep": lambda entry: '"a": ' + '{"a": [' * 25 + f"{{{entry}}}" + "]}" * 25,
    "in a message": lambda entry: (
        f'"messages": [{{"role": "user", "content": "Hi", "x": {{{entry}}}}}]'
    ),
    "behind a twin": lambda entry: f'"extra": {{}}, "extra": {{{entry}}}',
}


@both
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_an_address_in_the_body(
    refused: Callable[..., Reply], dialect: Dialect, place: Callable[[str], str]
) -> None:
    whole = json.dumps(dialect.body())[:-1]
    for spelling in SPELLINGS:
        entry = f'"{spelling}": {EVIL}'
        content = f"{whole}, {place(entry)}}}".encode()
        assert json.loads(content)
        reply = refused(dialect, 400, content=content)
        assert "not yours to choose" in reply.json["error"]["message"]


def test_the_words_as_values_or_text_are_harmless(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    body = OPENAI.body('What is "base_url": "x" in api_base?', user="base_url")
    assert OPENAI.ask(farebox, rider.secret, body=body).status == 200
    assert fake.requests[0].json["messages"] == body["messages"]


@both
def test_of_a_name_given_twice_provider_and_meter_read_the_same(
    farebox: Farebox, fake: FakeProviders, rider: Rider, dialect: Dialect
) -> None:
    """Parsers differ in which twin counts: here a cheap model and few tokens, there the dear."""
    dear: dict[str, Any] = {"openai": "gpt-4o", "anthropic": "claude-opus-4-1"}
    body = json.dumps(dialect.body(max_tokens=10) | {"stream": False})
    twins = f'"model": "{dear[dialect.name]}", "max_tokens": 9000, "stream": true, '
    content = (body[0] + twins + body[1:]).encode()
    assert dialect.ask(farebox, rider.secret, content=content).status == 200
    (served,) = fake.requests
    assert served.body.count(b'"model"') == 1
    sent = json.loads(served.body)
    assert (sent["model"], sent["max_tokens"], sent["stream"]) == (dialect.model, 10, False)
    call = rider.only_call()
    assert (call.model, call.streamed) == (dialect.model, False)
