"""GET /api/usage: the months, newest first."""

import pytest

from usage.models import MonthlyUsage

pytestmark = pytest.mark.django_db


@pytest.fixture
def _months(user, api_key, stranger):
    for owner, key, month, n in [
        (user, None, "2026-09", 1),
        (user, None, "2026-11", 2),
        (user, api_key.key, "2026-11", 3),
        (stranger, None, "2026-10", 4),
    ]:
        MonthlyUsage.objects.create(
            user=owner, api_key=key, month=month,
            requests=n, input_tokens=n * 10, output_tokens=n * 100, spent=n * 1_000_000,
        )  # fmt: skip


@pytest.mark.usefixtures("_months")
def test_months(api):
    assert api.get("/api/usage").json() == {
        "results": [
            {
                "month": "2026-11",
                "requests": 5,
                "input_tokens": 50,
                "output_tokens": 500,
                "spent": "5.000000",
            },
            {
                "month": "2026-09",
                "requests": 1,
                "input_tokens": 10,
                "output_tokens": 100,
                "spent": "1.000000",
            },
        ]
    }


@pytest.mark.usefixtures("_months")
def test_as_csv(api):
    assert api.get("/api/usage?format=csv").content.decode() == (
        "month,requests,input_tokens,output_tokens,spent\r\n"
        "2026-11,5,50,500,5.000000\r\n"
        "2026-09,1,10,100,1.000000\r\n"
    )


def test_nothing_yet(api):
    assert api.get("/api/usage").json() == {"results": []}
