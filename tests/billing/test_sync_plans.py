"""bin/manage sync_plans: Stripe sells what the plans say, however often it runs."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from djstripe.models import WebhookEndpoint

from billing import catalog, setup
from billing.models import Plan, PlanPrice, Setup
from common.errors import Unavailable


def sync(**options):
    out = StringIO()
    call_command("sync_plans", stdout=out, **options)
    return out.getvalue().splitlines()


def at_stripe(fake, kind, **wanted):
    found = getattr(fake.api.v1, kind).list({"limit": 100}).auto_paging_iter()
    return [one for one in found if all(getattr(one, k) == v for k, v in wanted.items())]


def active(slug):
    return PlanPrice.objects.get(plan__slug=slug, active=True)


def test_products_and_prices_are_made_once(fake_stripe):
    lines = sync()
    assert not any("created" in line or "updated" in line for line in lines), lines
    assert {one.metadata["farebox_plan"] for one in at_stripe(fake_stripe, "products")} == {
        "pro",
        "max",
    }
    price = fake_stripe.api.v1.prices.retrieve(active("pro").stripe_id)
    assert (price.unit_amount, price.currency, price.recurring.interval) == (900, "usd", "month")
    assert price.product == Plan.objects.get(slug="pro").stripe_product
    assert len(at_stripe(fake_stripe, "prices")) == 2


def test_what_stripe_has_already_is_matched(fake_stripe):
    """Our rows are lost: a restored database, or a run that broke off."""
    before = dict(PlanPrice.objects.values_list("plan__slug", "stripe_id"))
    PlanPrice.objects.all().delete()
    Setup.objects.all().delete()
    Plan.objects.update(stripe_product="")
    lines = sync()
    assert not any("created" in line for line in lines), lines
    assert dict(PlanPrice.objects.values_list("plan__slug", "stripe_id")) == before
    assert Plan.objects.get(slug="pro").stripe_product


def test_a_changed_price_is_a_new_one_and_the_old_is_archived(fake_stripe):
    old = active("pro")
    Plan.objects.filter(slug="pro").update(price=1200)
    lines = sync()
    assert any("$12.00 a month created" in line for line in lines), lines
    assert f"plan pro: price {old.stripe_id} archived (who pays it goes on paying it)" in lines
    new = active("pro")
    assert new.amount == 1200
    assert fake_stripe.api.v1.prices.retrieve(new.stripe_id).active
    assert not fake_stripe.api.v1.prices.retrieve(old.stripe_id).active
    old.refresh_from_db()
    assert (old.active, old.amount) == (False, 900)  # whoever pays it is still known
    configuration = fake_stripe.api.v1.billing_portal.configurations.retrieve(
        Setup.objects.get(name="portal").stripe_id
    )
    listed = configuration.to_dict()["features"]["subscription_update"]["products"]
    assert [new.stripe_id] in [product["prices"] for product in listed]
    assert old.stripe_id not in str(listed)
    Plan.objects.filter(slug="pro").update(price=900)  # and back: not the archived one
    sync()
    assert active("pro").stripe_id not in (old.stripe_id, new.stripe_id)


def test_a_new_name_reaches_the_product(fake_stripe):
    Plan.objects.filter(slug="pro").update(name="Professional", description="For work.")
    assert any("product" in line and "updated (name, description)" in line for line in sync())
    Plan.objects.filter(slug="pro").update(description="")
    assert any("product" in line and "updated (description)" in line for line in sync())
    product = fake_stripe.api.v1.products.retrieve(Plan.objects.get(slug="pro").stripe_product)
    assert (product.name, product.description) == ("Professional", None)


def test_a_plan_off_sale_takes_no_new_subscribers(fake_stripe):
    old = active("max")
    Plan.objects.filter(slug="max").update(for_sale=False)
    assert any("archived" in line for line in sync())
    assert not fake_stripe.api.v1.prices.retrieve(old.stripe_id).active
    assert not PlanPrice.objects.filter(plan__slug="max", active=True).exists()
    Plan.objects.filter(slug="max").update(for_sale=True)
    sync()
    assert active("max").amount == 2900


def test_a_price_made_by_hand_is_left_alone(fake_stripe):
    yearly = fake_stripe.api.v1.prices.create(
        {
            "product": Plan.objects.get(slug="pro").stripe_product,
            "currency": "usd",
            "unit_amount": 9000,
            "recurring": {"interval": "year"},
        }
    )
    sync()
    assert fake_stripe.api.v1.prices.retrieve(yearly.id).active
    assert not PlanPrice.objects.filter(stripe_id=yearly.id).exists()


def test_another_currency_says_what_to_run(fake_stripe, settings):
    settings.CURRENCY = "eur"
    pro = Plan.objects.get(slug="pro")
    with pytest.raises(Unavailable, match="sync_plans"):
        catalog.price_of(pro)
    sync()
    assert catalog.price_of(pro).currency == "eur"
    assert PlanPrice.objects.filter(plan=pro, active=True).count() == 1


def test_a_dry_run_does_nothing(fake_stripe):
    Plan.objects.filter(slug="pro").update(price=1200, name="Professional")
    Plan.objects.create(slug="team", name="Team", price=4900)
    before = fake_stripe.state()
    lines = sync(dry_run=True)
    assert any("would be created" in line for line in lines)
    assert any("would be archived" in line for line in lines)
    assert any("would be updated" in line for line in lines)
    assert fake_stripe.state() == before
    assert active("pro").amount == 900


def test_an_account_that_has_nothing_is_filled_anew(fake_stripe):
    """Another account of Stripe's: the ids we know lead nowhere."""
    old = active("pro").stripe_id
    fake_stripe.reset()
    fake_stripe.pause()
    sync()
    assert active("pro").stripe_id != old
    assert fake_stripe.api.v1.prices.retrieve(active("pro").stripe_id).active
    assert WebhookEndpoint.objects.count() == 1


def test_the_portal_downgrades_at_the_end_of_the_period(fake_stripe):
    found = fake_stripe.api.v1.billing_portal.configurations.retrieve(
        Setup.objects.get(name="portal").stripe_id
    ).to_dict()
    change = found["features"]["subscription_update"]
    assert change["proration_behavior"] == "always_invoice"
    assert change["schedule_at_period_end"]["conditions"] == [{"type": "decreasing_item_amount"}]
    assert len(change["products"]) == 2
    assert found["features"]["subscription_cancel"]["mode"] == "at_period_end"
    assert found["features"]["payment_method_update"]["enabled"]
    assert found["features"]["invoice_history"]["enabled"]


def test_the_webhook_leads_here_and_its_secret_is_kept(fake_stripe, settings):
    row = WebhookEndpoint.objects.get()
    assert row.url == f"{settings.PUBLIC_URL}/stripe/webhook/{row.djstripe_uuid}/"
    assert row.secret.startswith("whsec_")
    assert "secret" not in row.stripe_data
    assert not any(row.secret in line for line in sync())


def test_a_webhook_moves_with_the_address(fake_stripe, settings):
    before = WebhookEndpoint.objects.get()
    settings.PUBLIC_URL = "https://farebox.example.com"
    sync()
    row = WebhookEndpoint.objects.get()
    assert (row.id, row.secret) == (before.id, before.secret)
    assert fake_stripe.api.v1.webhook_endpoints.retrieve(row.id).url == row.url
    assert row.url.startswith("https://farebox.example.com/stripe/webhook/")


def test_a_webhook_whose_secret_is_lost_is_made_anew(fake_stripe):
    lost = WebhookEndpoint.objects.get().id
    WebhookEndpoint.objects.all().delete()
    lines = sync()
    assert any(f"endpoint {lost} deleted" in line for line in lines)
    row = WebhookEndpoint.objects.get()
    assert row.id != lost
    assert row.secret
    assert [one.id for one in at_stripe(fake_stripe, "webhook_endpoints")] == [row.id]


def test_stripe_itself_needs_an_https_address(fake_stripe, settings):
    del settings.STRIPE_API_HOST
    said = []
    setup.sync_webhook(said.append, dry_run=False)
    assert len(said) == 1
    assert "PUBLIC_URL" in said[0]


def test_the_demo_mode_has_nothing_to_sync(clean_books, settings):
    settings.ENABLE_PAYMENTS = False
    with pytest.raises(CommandError, match="demo mode"):
        sync()


def test_stripe_away_is_said_in_a_line(fake_stripe):
    fake_stripe.fault(path="/v1/products", drop=True, times=10)
    with pytest.raises(CommandError, match="can't be reached"):
        sync()
