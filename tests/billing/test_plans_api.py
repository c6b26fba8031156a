"""GET /api/plans: what is for sale, for everybody."""

import pytest

from billing.models import Plan

pytestmark = pytest.mark.django_db


def test_plans_for_sale_need_no_key(client):
    Plan.objects.filter(slug="free").update(description="")
    Plan.objects.filter(slug="pro").update(
        allowed_models=["demo"], quota_tokens=7, tokens_per_minute=90_000,
        description="For work.", price=900, trial_days=7, trial_allowance=2_000_000,
    )  # fmt: skip
    response = client.get("/api/plans")
    assert response.status_code == 200
    assert response.json() == {
        "results": [
            {
                "slug": "free",
                "name": "Free",
                "description": "",
                "price": None,
                "trial_days": 0,
                "trial_allowance": "0.000000",
                "metering": "credits",
                "monthly_allowance": "1.000000",
                "quota_requests": None,
                "quota_tokens": None,
                "requests_per_minute": 20,
                "tokens_per_minute": None,
                "open_calls": 4,
                "max_output_tokens": 8192,
                "models": [],
                "is_default": True,
            },
            {
                "slug": "pro",
                "name": "Pro",
                "description": "For work.",
                "price": {"amount": 900, "currency": "usd"},
                "trial_days": 7,
                "trial_allowance": "2.000000",
                "metering": "credits",
                "monthly_allowance": "100.000000",
                "quota_requests": None,
                "quota_tokens": 7,
                "requests_per_minute": 120,
                "tokens_per_minute": 90_000,
                "open_calls": 20,
                "max_output_tokens": None,
                "models": ["demo"],
                "is_default": False,
            },
        ]
    }


def test_a_wrong_key_is_no_hindrance(client):
    assert client.get("/api/plans", headers={"x-api-key": "nonsense"}).status_code == 200
