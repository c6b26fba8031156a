"""Models and prices in the admin: a change is a new price, and the old ones stay."""

import pytest
from django.core.management import call_command

from tests.billing.conftest import admin, staff
from usage.models import AIModel, Price

__all__ = ["admin", "staff"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(settings):
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = ""
    call_command("sync_models", verbosity=0)
    return AIModel.objects.get(name="demo")


def change(admin, model, **changes):
    sent = {"name": model.name, "provider": "demo", "protocol": "any", "enabled": "on"}
    sent |= {"routes-TOTAL_FORMS": "0", "routes-INITIAL_FORMS": "0"}
    sent |= {"override": "", "markup": "", "context_window": "", "max_output_tokens": ""}
    return admin.post(f"/admin/usage/aimodel/{model.pk}/change/", sent | changes)


def test_a_markup_makes_a_new_price(admin, demo):
    before = demo.prices.get()
    assert change(admin, demo, markup="2").status_code == 302
    after = demo.prices.order_by("-id").first()
    assert after.rates["base"]["input"] == 2 * before.rates["base"]["input"]
    assert after.cost_rates == before.cost_rates
    assert change(admin, demo, markup="2").status_code == 302
    assert demo.prices.count() == 2


def test_an_override_goes_first_and_is_taken_back(admin, demo):
    was = demo.prices.get().rates
    change(admin, demo, override='{"input": "1", "output": "1"}')
    assert demo.prices.order_by("-id").first().source == "operator"
    change(admin, demo)
    assert demo.prices.order_by("-id").first().rates == was


@pytest.mark.parametrize(
    "override",
    ['{"input": 1, "output": "1"}', "[]", "{", '{"input": "1"}', '{"input": "1", "output": "-1"}',
     '{"input": "1", "output": "1", "tea": "1"}'],
)  # fmt: skip
def test_an_override_that_is_no_price_is_refused(admin, demo, override):
    assert change(admin, demo, override=override).status_code == 200
    assert demo.prices.count() == 1


def test_prices_are_history(admin, demo):
    price = Price.objects.get()
    assert admin.get("/admin/usage/price/").status_code == 200
    page = admin.get(f"/admin/usage/price/{price.pk}/change/")
    assert "5.000000" in page.content.decode()
    assert admin.post(f"/admin/usage/price/{price.pk}/change/", {}).status_code == 403
    assert admin.post(f"/admin/usage/price/{price.pk}/delete/", {"post": "y"}).status_code == 403
    assert admin.post(f"/admin/usage/aimodel/{demo.pk}/delete/", {"post": "y"}).status_code == 403
