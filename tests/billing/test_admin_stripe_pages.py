"""What Stripe has, in the admin: to read, with no secret and no way to change it here."""

import pytest
from django.contrib import admin as django_admin
from django.test import Client
from djstripe import models as tables

from billing.models import Customer
from tests.billing.staff import clerk, page_of

# Content types of dj-stripe are made on first use, and stay.
pytestmark = pytest.mark.usefixtures("clean_books")

SHOWN = {"Subscription", "Invoice", "Charge", "Refund", "Dispute", "WebhookEndpoint", "Event"}
CUSTOMER, SECRET = "cus_1", "whsec_of_the_test"


def test_dj_stripes_own_pages_are_gone():
    registered = {
        model.__name__: type(page).__module__
        for model, page in django_admin.site._registry.items()
        if model._meta.app_label == "djstripe"
    }
    assert set(registered) == SHOWN
    assert all(module.startswith("billing.admin") for module in registered.values())


@pytest.fixture
def rows(user):
    """One of each, as Stripe tells of them."""
    Customer.objects.create(user=user, stripe_id=CUSTOMER)
    tables.Customer.objects.create(id=CUSTOMER, email=user.email, livemode=False, stripe_data={})
    common = {"customer": CUSTOMER, "currency": "usd", "created": 1795000000}
    charge = tables.Charge.objects.create(
        id="ch_1", customer_id=CUSTOMER, amount=9, currency="usd", status="succeeded",
        livemode=False, metadata={}, stripe_data=common | {
            "amount": 900, "amount_refunded": 300, "status": "succeeded", "disputed": True,
            "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}},
            "payment_intent": "pi_1",
        },
    )  # fmt: skip
    return [
        tables.Subscription.objects.create(
            id="sub_1", customer_id=CUSTOMER, livemode=False, stripe_data=common | {
                "status": "past_due", "items": {"data": [{
                    "price": {"id": "price_1", "unit_amount": 900},
                    "current_period_start": 1795000000, "current_period_end": 1797592000,
                }]},
            },
        ),
        tables.Invoice.objects.create(
            id="in_1", customer_id=CUSTOMER, livemode=False, stripe_data=common | {
                "status": "open", "number": "FB-0001", "total": 900, "amount_paid": 0,
                "amount_remaining": 900, "hosted_invoice_url": "javascript:alert(1)",
                "lines": {"data": [{"description": "<b>Pro</b>",
                                    "period": {"start": 1795000000, "end": 1797592000}}]},
            },
        ),
        charge,
        tables.Refund.objects.create(
            id="re_1", charge=charge, amount=300, currency="usd", livemode=False,
            stripe_data={"amount": 300, "currency": "usd", "status": "succeeded"},
        ),
        tables.Dispute.objects.create(
            id="dp_1", charge=charge, livemode=False,
            stripe_data={"amount": 600, "currency": "usd", "status": "needs_response",
                         "evidence_details": {"due_by": 1796000000}},
        ),
        tables.WebhookEndpoint.objects.create(
            id="we_1", url="https://farebox.test/stripe/webhook/x/", secret=SECRET,
            status="enabled", enabled_events=["invoice.paid"], livemode=False,
            stripe_data={"secret": SECRET, "api_version": "x"},
        ),
        tables.Event.objects.create(
            id="evt_1", type="invoice.paid", livemode=False, stripe_data={},
            data={"object": {"id": "in_1", "object": "invoice"}},
        ),
    ]  # fmt: skip


SEEN = {
    "Subscription": ["past due", "$9.00", "rider@example.com"],
    "Invoice": ["FB-0001", "$9.00", "&lt;b&gt;Pro&lt;/b&gt;"],
    "Charge": ["visa … 4242", "$3.00", "disputed", "/admin/djstripe/refund/"],
    "Refund": ["$3.00", "ch_1"],
    "Dispute": ["$6.00", "needs response", "2026-11-"],
    "WebhookEndpoint": ["https://farebox.test", "invoice.paid", "set"],
    "Event": ["invoice.paid", "in_1"],
}


def test_each_is_listed_shown_and_changed_by_nobody(admin, rows):
    for row in rows:
        base = f"/admin/djstripe/{row._meta.model_name}/"
        name = type(row).__name__
        assert page_of(row) in admin.get(base).content.decode(), name
        page = admin.get(page_of(row)).content.decode()
        for words in SEEN[name]:
            assert words in page, (name, words)
        assert SECRET not in page
        assert "javascript:" not in page.replace("javascript:void", "")
        assert admin.post(page_of(row), {"id": "x"}).status_code == 403, name
        assert admin.post(page_of(row, "delete"), {"post": "yes"}).status_code == 403, name
        assert admin.get(f"{base}add/").status_code == 403, name
        sent = {"action": "delete_selected", "_selected_action": row.pk, "post": "yes"}
        admin.post(base, sent)
        assert type(row).objects.filter(pk=row.pk).exists(), name


def test_found_by_address_and_by_id(admin, rows):
    for row in rows[:5]:
        base = f"/admin/djstripe/{row._meta.model_name}/"
        for query in (row.id, "RIDER@"):
            assert page_of(row) in admin.get(base, {"q": query}).content.decode(), (row.id, query)
        assert page_of(row) not in admin.get(base, {"q": "other@"}).content.decode()
    events = admin.get("/admin/djstripe/event/", {"q": "invoice."}).content.decode()
    assert page_of(rows[-1]) in events


def test_filtered_by_status(admin, rows):
    base = "/admin/djstripe/subscription/"
    assert page_of(rows[0]) in admin.get(base, {"status": "past_due"}).content.decode()
    assert page_of(rows[0]) not in admin.get(base, {"status": "active"}).content.decode()


def test_the_dashboard_is_linked_where_it_is_stripes(admin, rows, settings):
    address = "https://dashboard.stripe.com/test/subscriptions/sub_1"
    settings.STRIPE_API_HOST = ""
    assert address in admin.get(page_of(rows[0])).content.decode()
    settings.STRIPE_API_HOST = "http://127.0.0.1:1"
    assert address not in admin.get(page_of(rows[0])).content.decode()


def test_a_role_sees_what_it_may(rows):
    client = clerk("djstripe.Invoice")
    assert client.get(page_of(rows[1])).status_code == 200
    assert client.get(page_of(rows[0])).status_code == 403
    home = client.get("/admin/").content.decode()
    assert "/admin/djstripe/invoice/" in home
    assert "/admin/djstripe/subscription/" not in home
    assert Client().get(page_of(rows[1])).status_code == 302
