"""Reading the key out of the headers."""

import pytest

from accounts import keys
from common.errors import BadInput, NotAuthenticated
from proxy import credentials

KEY = keys.new_key()
DIGEST = keys.digest(KEY)


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer " + KEY.encode()},
        {b"authorization": b"bearer " + KEY.encode()},
        {b"authorization": b"Bearer  " + KEY.encode() + b" "},
        {b"x-api-key": KEY.encode()},
        {b"x-api-key": KEY.encode(), b"authorization": b"Bearer sk-other"},
        {b"x-api-key": b"sk-other", b"authorization": b"Bearer " + KEY.encode()},
        {b"x-api-key": KEY.encode(), b"authorization": b"Basic dXNlcjpwdw=="},
    ],
)
def test_a_key_is_found(headers: dict[bytes, bytes]) -> None:
    assert credentials.read(headers).digest == DIGEST


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": KEY.encode()},
        {b"authorization": b"Basic " + KEY.encode()},
        {b"authorization": b"Bearer " + KEY[:-1].encode() + b"!"},
        {b"x-api-key": b"\xff\xfe" * 24},
        {b"x-api-key": KEY.swapcase().encode()},
    ],
)
def test_what_is_no_key(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(NotAuthenticated):
        credentials.read(headers)


def test_names_are_lower_case_and_of_twins_the_first_counts() -> None:
    scope = {"headers": [(b"X-Api-Key", b"one"), (b"x-api-key", b"two")]}
    assert credentials.headers_of(scope) == {b"x-api-key": b"one"}


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\0b", b"\r\n", b"a\r\nx: y"])
def test_line_breaks_are_refused(value: bytes) -> None:
    with pytest.raises(BadInput):
        credentials.headers_of({"headers": [(b"anthropic-beta", value)]})
