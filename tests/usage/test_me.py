"""GET /api/me: all that an extension needs at its start, exactly as promised."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from billing import entitlements
from billing.models import Plan
from ledger import verbs
from ledger.models import Grant
from tests.usage.calls import begin, finish
from usage.models import MonthlyUsage

pytestmark = pytest.mark.django_db


def this_month():
    return timezone.now().astimezone(UTC).strftime("%Y-%m")


def test_somebody_who_has_done_nothing_yet(api, user):
    assert api.get("/api/me").json() == {
        "email": "rider@example.com",
        "plan": {"slug": "free", "name": "Free", "status": "active", "period_end": None},
        "balance": {"available": "0.000000", "held": "0.000000", "posted": "0.000000"},
        "month": {
            "month": this_month(),
            "requests": 0,
            "input_tokens": 0,
            "output_tokens": 0,
            "spent": "0.000000",
        },
    }


def test_plan_balance_and_month(api, user, wallet, fund):
    end = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    pro = Plan.objects.get(slug="pro")
    entitlements.assign_plan(user=user, plan=pro, status="trialing", period_end=end)
    fund(wallet, 5_000_000)
    finish(begin(user, held=2_000_000), charge=1_250_000)
    begin(user, held=500_000)
    assert api.get("/api/me").json() == {
        "email": "rider@example.com",
        "plan": {
            "slug": "pro",
            "name": "Pro",
            "status": "trialing",
            "period_end": "2030-01-02T03:04:05Z",
        },
        "balance": {"available": "3.250000", "held": "0.500000", "posted": "3.750000"},
        "month": {
            "month": this_month(),
            "requests": 2,
            "input_tokens": 100,
            "output_tokens": 50,
            "spent": "1.250000",
        },
    }


def test_the_month_is_the_sum_over_the_users_keys_and_of_no_other_month(
    api, user, stranger, api_key
):
    counts = {"requests": 1, "input_tokens": 2, "output_tokens": 3, "spent": 4}
    month = this_month()
    for owner, key, when in [
        (user, api_key.key, month),
        (user, None, month),
        (user, None, "2020-01"),
        (stranger, None, month),
    ]:
        MonthlyUsage.objects.create(user=owner, api_key=key, month=when, **counts)
    assert api.get("/api/me").json()["month"] == {
        "month": month,
        "requests": 2,
        "input_tokens": 4,
        "output_tokens": 6,
        "spent": "0.000008",
    }


def test_credits_whose_date_has_passed_are_not_shown(api, user, wallet, fund):
    fund(wallet, 1_000_000)
    soon = timezone.now() + timedelta(hours=1)
    verbs.grant(account=wallet, amount=7_000_000, kind="promotion", key="due", expires_at=soon)
    assert api.get("/api/me").json()["balance"]["available"] == "8.000000"
    Grant.objects.filter(kind="promotion").update(expires_at=timezone.now())
    balance = api.get("/api/me").json()["balance"]
    assert balance == {"available": "1.000000", "held": "0.000000", "posted": "1.000000"}


def test_queries_are_few(api, user, wallet, fund, django_assert_num_queries):
    fund(wallet, 1)
    api.get("/api/me")
    with django_assert_num_queries(2):  # key with user, and all the rest
        api.get("/api/me")
