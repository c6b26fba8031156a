"""One trial a person: granted once, however Stripe bills it, and whoever comes back."""

import pytest

from accounts import leaving, verbs
from billing import checkout, payments, trials
from billing.models import AllowancePerson, Plan
from billing.payments.invoices import allowance_of
from tests.billing.stripe_world import CREDIT, invoices_of, subscribe


@pytest.fixture
def tried(fake_stripe, plans):
    Plan.objects.filter(slug="pro").update(trial_days=7, trial_allowance=5 * CREDIT)
    plans["pro"].refresh_from_db()
    return plans["pro"]


def trial_days_of(fake, order):
    session = fake.state()["tables"]["sessions"][order.stripe_id]
    return (session["_subscription_data"] or {}).get("trial_period_days")


def first_invoice(fake, user, plan):
    subscription = subscribe(fake, user, plan)
    [invoice] = invoices_of(fake, subscription)
    payments.apply_invoice(invoice)
    get = fake.api.v1
    return (
        get.invoices.retrieve(invoice).to_dict(),
        get.subscriptions.retrieve(subscription).to_dict(),
    )


def test_further_invoices_of_a_trial_grant_nothing(fake_stripe, user, tried):
    """A trial that staff prolong, or whose plan they change, has another invoice for nothing."""
    invoice, subscription = first_invoice(fake_stripe, user, tried)
    [line] = invoice["lines"]["data"]

    def granted(reason, lines):
        found = allowance_of(invoice | {"billing_reason": reason}, lines, subscription)
        return found.amount

    assert granted("subscription_create", [line]) == 5 * CREDIT
    assert granted("subscription_create", [line, line]) == 5 * CREDIT, "a trial is one"
    assert granted("subscription_update", [line]) == 0
    assert granted("subscription_cycle", [line, line]) == 0


def test_who_left_and_came_back_has_no_second_trial(fake_stripe, user, tried):
    assert not trials.had(user)
    first_invoice(fake_stripe, user, tried)
    assert trials.had(user)
    assert AllowancePerson.objects.count() == 1
    local, _, domain = user.email.partition("@")
    leaving.delete_account(user=user)

    back = verbs.create_user(email=f"{local}+again@{domain}")
    assert not trial_days_of(fake_stripe, checkout.open_plan(back, tried))
    other = verbs.create_user(email="somebody.else@example.com")
    assert int(trial_days_of(fake_stripe, checkout.open_plan(other, tried))) == 7
