"""Staff cancel, resume and change subscriptions through Stripe: with a reason, once, at once."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from billing import entitlements, payments
from billing.following import follow_subscription
from billing.models import Entitlement, Payment, Plan, PlanPrice
from ledger.balances import balance_of
from ledger.models import Transfer
from tests.billing.staff import clerk, do, fill, page_of, subscribe
from tests.billing.stripe_world import CREDIT


@pytest.fixture
def row(delivering, user):
    return subscribe(delivering, user)


def at_stripe(delivering, row):
    return delivering.api.v1.subscriptions.retrieve(row.id)


def test_canceled_at_the_periods_end_and_resumed(delivering, admin, user, row):
    delivering.pause()  # what follows is there before an event has come
    page = do(admin, page_of(row, "cancel-later"))
    assert "Canceled at the period" in page
    assert "They asked." in page
    assert at_stripe(delivering, row).cancel_at_period_end
    now = entitlements.current(user)
    assert now.cancel_at == now.period_end
    assert now.gives_access

    page = admin.get(page_of(row)).content.decode()
    assert page_of(row, "resume") in page
    assert page_of(row, "cancel-later") not in page
    do(admin, page_of(row, "resume"))
    assert not at_stripe(delivering, row).cancel_at_period_end
    assert entitlements.current(user).cancel_at is None


def test_canceled_now(delivering, admin, user, row):
    do(admin, page_of(row, "cancel"))
    assert at_stripe(delivering, row).status == "canceled"
    assert entitlements.current(user).plan.slug == "free"
    assert balance_of(user).posted == 100 * CREDIT  # what was paid for is not stranded
    said = LogEntry.objects.get(content_type__model="user").change_message
    assert said == f"Canceled at once: They asked. ({row.id})"
    assert page_of(row, "cancel") not in admin.get(page_of(row)).content.decode()


def test_sent_twice_it_is_done_once(delivering, admin, row):
    for name in ("cancel-later", "cancel"):
        path = page_of(row, name)
        sent = fill(admin, path) | {"confirmed": "yes"}
        assert admin.post(path, sent).status_code == 302
        assert admin.post(path, sent).status_code == 302
    assert at_stripe(delivering, row).status == "canceled"


def test_a_dearer_plan_at_once_is_charged_and_granted_in_part(delivering, admin, user, row):
    delivering.pause()
    path = page_of(row, "plan")
    assert "$29.00 a month" in admin.get(path).content.decode()
    do(admin, path, plan=Plan.objects.get(slug="max").pk, when="now")
    assert entitlements.current(user).plan.slug == "max"
    assert balance_of(user).posted == 400 * CREDIT  # the period has just begun
    transfers = Transfer.objects.count()

    delivering.resume(replay=True)
    delivering.settled()
    assert Transfer.objects.count() == transfers
    assert entitlements.current(user).plan.slug == "max"


def test_a_cheaper_plan_from_the_next_period_on(delivering, admin, user):
    row = subscribe(delivering, user, "max")
    path = page_of(row, "plan")
    pro = Plan.objects.get(slug="pro")
    sent = fill(admin, path, plan=pro.pk, when="end") | {"confirmed": "yes"}
    for _ in range(2):
        assert admin.post(path, sent).status_code == 302
    assert entitlements.current(user).plan.slug == "max"

    delivering.pause()  # events of a month ahead would be refused
    delivering.advance(delivering.now + timedelta(days=32))
    renewed = follow_subscription(row.id)
    payments.apply_invoice(renewed.stripe_data["latest_invoice"])
    assert entitlements.current(user).plan.slug == "pro"
    assert Payment.objects.first().granted == 100 * CREDIT


def test_a_waiting_change_gives_way_to_a_cancellation(delivering, admin, user):
    row = subscribe(delivering, user, "max")
    do(admin, page_of(row, "plan"), plan=Plan.objects.get(slug="pro").pk, when="end")
    do(admin, page_of(row, "cancel-later"))
    assert at_stripe(delivering, row).cancel_at_period_end
    assert at_stripe(delivering, row).schedule is None


def test_a_declined_card_leaves_the_plan_as_it_is(delivering, admin, user, row):
    delivering.replace_card(row.customer_id, "4000000000000341")
    path = page_of(row, "plan")
    sent = fill(admin, path, plan=Plan.objects.get(slug="max").pk, when="now")
    page = admin.post(path, sent | {"confirmed": "yes"}).content.decode()
    assert "The card was declined" in page
    assert entitlements.current(user).plan.slug == "pro"
    assert at_stripe(delivering, row)["items"].data[0].price.unit_amount == 900
    assert balance_of(user).posted == 100 * CREDIT


def test_who_pays_an_older_price_is_moved_to_the_present_one(delivering, admin, user, row):
    Plan.objects.filter(slug="pro").update(price=1200)
    pro = Plan.objects.get(slug="pro")
    path = page_of(row, "plan")
    assert f'value="{pro.pk}"' not in admin.get(path).content.decode()
    do(admin, page_of(pro, "sync"))
    assert PlanPrice.objects.get(plan=pro, active=True).amount == 1200
    assert "an older price" in admin.get(page_of(row)).content.decode()
    do(admin, path, plan=pro.pk, when="now")
    assert at_stripe(delivering, row)["items"].data[0].price.unit_amount == 1200
    assert balance_of(user).posted == 100 * CREDIT


def test_stripe_away_is_said_on_the_form_and_nothing_has_changed(delivering, admin, user, row):
    path = page_of(row, "cancel")
    sent = fill(admin, path) | {"confirmed": "yes"}
    delivering.fault(path="/v1/subscriptions", drop=True, times=2)
    page = admin.post(path, sent).content.decode()
    assert "be reached now" in page
    assert entitlements.current(user).plan.slug == "pro"
    assert not LogEntry.objects.filter(content_type__model="user").exists()
    delivering.clear_faults()
    assert admin.post(path, sent).status_code == 302


def test_without_a_reason_or_by_get_nothing_happens(delivering, admin, row):
    path = page_of(row, "cancel")
    sent = fill(admin, path) | {"confirmed": "yes"}
    assert admin.post(path, sent | {"reason": " "}).status_code == 200
    assert admin.get(path, sent).status_code == 200
    assert at_stripe(delivering, row).status == "active"


def test_a_forged_post_is_refused(delivering, staff, row):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(staff)
    assert browser.post(page_of(row, "cancel"), {"confirmed": "yes"}).status_code == 403
    assert at_stripe(delivering, row).status == "active"


def test_who_may_only_look_sees_no_button(delivering, row):
    client = clerk("djstripe.Subscription", "accounts.User")
    page = client.get(page_of(row)).content.decode()
    assert "Pro of rider@example.com" in page
    for name in ("plan", "cancel", "cancel-later", "resume"):
        assert page_of(row, name) not in page
        assert client.get(page_of(row, name)).status_code == 403
        assert client.post(page_of(row, name), {"confirmed": "yes"}).status_code == 403


def test_what_staff_assigned_is_taken_back(delivering, admin, user, row):
    internal = Plan.objects.get(slug="internal")
    do(admin, page_of(user, "plan"), plan=internal.pk, status="active")
    assert entitlements.current(user).source == Entitlement.Source.STAFF
    assert page_of(user, "unassign") in admin.get(page_of(user)).content.decode()
    do(admin, page_of(user, "unassign"))
    assert entitlements.current(user).plan.slug == "pro"
    assert page_of(user, "unassign") not in admin.get(page_of(user)).content.decode()
