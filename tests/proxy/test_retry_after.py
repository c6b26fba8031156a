"""How a provider's ``Retry-After`` is read: whatever it holds, it is no error of ours."""

import pytest

from proxy.answers import retry_after

READ = {
    "7": 7.0,
    "": None,
    "soon": None,
    "-1": None,
    "Mon, 01 Jan 2001 00:00:00 GMT": None,
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT": None,
    "Mon, 99999999999999999999 Jan 2030 00:00:00 GMT": None,
    "Mon, 01 Jan 2030 00:00:00 +99999999999999999": None,
}


@pytest.mark.parametrize(("told", "seconds"), READ.items())
def test_what_can_not_be_read_is_as_if_not_said(told: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": told}) == seconds
