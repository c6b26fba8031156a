"""POST /api/billing/checkout: one page at a time, never a second subscription."""

import threading
import time
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from django.core.management import call_command
from django.db import connection
from django.test import Client

from accounts import verbs as accounts
from billing import checkout
from billing.errors import AlreadySubscribed, StripeRefused, StripeUnavailable
from billing.models import Customer, Order, Payment, Plan, PlanPrice
from ledger.models import Transfer
from tests.billing.buying import error_of, post, signed_in, with_key

State = Order.State


@pytest.fixture
def client(user):
    return signed_in(user)


def sessions(fake):
    return list(fake.api.v1.checkout.sessions.list({"limit": 100}).auto_paging_iter())


def open_sessions(fake):
    return [one for one in sessions(fake) if one["status"] == "open"]


def test_the_page_sells_the_plan_at_its_price(fake_stripe, client, user):
    answer = post(client, "checkout", {"plan": "pro"})
    assert answer.status_code == 200
    order = Order.objects.get()
    assert answer.json() == {"url": order.url}
    assert (order.amount, order.currency, order.state) == (900, "usd", State.OPEN)
    session = fake_stripe.api.v1.checkout.sessions.retrieve(order.stripe_id)
    assert session.url == order.url
    assert session.mode == "subscription"
    assert session.amount_subtotal == 900
    assert session.customer == Customer.objects.get(user=user).stripe_id
    about = {
        "farebox_order": str(order.pk),
        "farebox_user": str(user.pk),
        "farebox_plan": "pro",
    }
    assert session.metadata.to_dict() == about
    assert session.success_url.endswith("/dashboard/billing/?paid={CHECKOUT_SESSION_ID}")
    assert session.cancel_url.endswith("/dashboard/billing/")
    fake_stripe.pay(order.stripe_id)
    [subscription] = fake_stripe.api.v1.subscriptions.list({"customer": session.customer}).data
    assert subscription.metadata.to_dict() == about
    assert not Payment.objects.exists()  # nothing is granted before a receiver has looked


@pytest.mark.parametrize("plan", ["gold", "free", "internal", "", "PRO", "pro ", "p" * 60, 5, None,
                                  ["pro"], {"slug": "pro"}, True])  # fmt: skip
def test_what_is_not_for_sale(fake_stripe, client, plan):
    answer = post(client, "checkout", {"plan": plan})
    if plan == "pro ":  # blanks around it are the form's
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert error_of(answer)["param"] == "plan"
    assert not Order.objects.exists()


def test_hidden_and_unpriced_plans_are_unknown(fake_stripe, client):
    Plan.objects.filter(slug="pro").update(for_sale=False)
    Plan.objects.filter(slug="max").update(price=None)
    for slug in ("pro", "max"):
        assert error_of(post(client, "checkout", {"plan": slug}))["param"] == "plan"


@pytest.mark.parametrize("body", ["", "[]", "{", '"pro"', "null", "[" * 2000, "{}"])
def test_what_is_no_order(fake_stripe, client, body):
    assert post(client, "checkout", body).status_code == 400


def test_an_open_page_is_answered_again(fake_stripe, user, plans):
    first = checkout.open_plan(user, plans["pro"])
    assert checkout.open_plan(user, plans["pro"]).pk == first.pk
    assert len(sessions(fake_stripe)) == 1


def test_another_plan_replaces_the_open_page(fake_stripe, user, plans):
    first = checkout.open_plan(user, plans["pro"])
    second = checkout.open_plan(user, plans["max"])
    first.refresh_from_db()
    assert (first.state, second.state) == (State.EXPIRED, State.OPEN)
    assert [one["id"] for one in open_sessions(fake_stripe)] == [second.stripe_id]


def test_a_new_price_replaces_the_open_page(fake_stripe, user, plans):
    first = checkout.open_plan(user, plans["pro"])
    Plan.objects.filter(slug="pro").update(price=1000)
    call_command("sync_plans", stdout=open_nothing())
    second = checkout.open_plan(user, Plan.objects.get(slug="pro"))
    assert (first.amount, second.amount) == (900, 1000)
    assert [one["id"] for one in open_sessions(fake_stripe)] == [second.stripe_id]


def open_nothing():

    return StringIO()


def test_a_page_that_ran_out_is_made_anew(fake_stripe, user, plans):
    first = checkout.open_plan(user, plans["pro"])
    fake_stripe.expire(first.stripe_id)  # and its event is lost
    second = checkout.open_plan(user, plans["pro"])
    assert second.pk != first.pk
    assert [one["id"] for one in open_sessions(fake_stripe)] == [second.stripe_id]


def test_a_price_that_stripe_has_not_yet(fake_stripe, client):
    Plan.objects.filter(slug="pro").update(price=1000)
    answer = post(client, "checkout", {"plan": "pro"})
    assert answer.status_code == 503
    assert "sync_plans" in error_of(answer)["message"]
    assert answer["retry-after"] == "60"


def test_another_currency_than_the_prices(fake_stripe, client, settings):
    settings.CURRENCY = "eur"
    answer = post(client, "checkout", {"plan": "pro"})
    assert answer.status_code == 503
    assert "sync_plans" in error_of(answer)["message"]
    assert not Order.objects.exists()


def test_who_is_subscribed_is_sent_to_the_portal(fake_stripe, client, user, plans):
    """Even before a receiver has looked: Stripe is asked."""
    fake_stripe.pay(checkout.open_plan(user, plans["pro"]).stripe_id)
    answer = post(client, "checkout", {"plan": "max"})
    assert answer.status_code == 200
    assert "/p/session/" in answer.json()["url"]
    with pytest.raises(AlreadySubscribed):
        checkout.open_plan(user, plans["pro"])
    assert len(sessions(fake_stripe)) == 1


def test_an_api_key_never_gets_the_portal(fake_stripe, client, user, api_key, plans):
    first = post(client, "checkout", {"plan": "pro"}, **with_key(api_key.secret))
    assert first.status_code == 200
    fake_stripe.pay(Order.objects.get().stripe_id)
    answer = post(client, "checkout", {"plan": "pro"}, **with_key(api_key.secret))
    assert answer.status_code == 409
    assert error_of(answer)["code"] == "already_subscribed"
    assert "url" not in answer.json()


def test_who_canceled_can_subscribe_again(fake_stripe, user, plans):
    fake_stripe.pay(checkout.open_plan(user, plans["pro"]).stripe_id)
    customer = Customer.objects.get(user=user).stripe_id
    [subscription] = fake_stripe.api.v1.subscriptions.list({"customer": customer}).data
    fake_stripe.api.v1.subscriptions.cancel(subscription.id)
    order = checkout.open_plan(user, plans["pro"])  # the first order's event was lost
    assert [one["id"] for one in open_sessions(fake_stripe)] == [order.stripe_id]


def test_one_trial_each(fake_stripe, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=7, trial_allowance=1)
    pro = Plan.objects.get(slug="pro")
    fake_stripe.pay(checkout.open_plan(user, pro).stripe_id)
    customer = Customer.objects.get(user=user).stripe_id
    [first] = fake_stripe.api.v1.subscriptions.list({"customer": customer}).data
    assert first.status == "trialing"
    fake_stripe.api.v1.subscriptions.cancel(first.id)
    fake_stripe.pay(checkout.open_plan(user, pro).stripe_id)
    [second] = fake_stripe.api.v1.subscriptions.list({"customer": customer}).data
    assert second.status == "active"


def test_tax_and_promotion_codes_are_settings(fake_stripe, user, plans, settings):
    settings.STRIPE_AUTOMATIC_TAX = settings.STRIPE_PROMOTION_CODES = True
    order = checkout.open_plan(user, plans["pro"])
    session = fake_stripe.api.v1.checkout.sessions.retrieve(order.stripe_id)
    assert session.automatic_tax.enabled
    assert session.allow_promotion_codes


def test_an_idempotency_key_leads_to_the_same_page(fake_stripe, client):
    first = post(client, "checkout", {"plan": "pro"}, key="k1")
    assert post(client, "checkout", {"plan": "pro"}, key="k1").json() == first.json()
    other = post(client, "checkout", {"plan": "max"}, key="k1")
    assert other.status_code == 422
    assert error_of(other)["code"] == "key_reused"
    assert post(client, "checkout", {"plan": "pro"}, key="x" * 256).status_code == 400
    assert Order.objects.count() == 1


def test_the_same_key_is_another_users_own(fake_stripe, client):
    post(client, "checkout", {"plan": "pro"}, key="k1")
    other = signed_in(accounts.create_user(email="other@example.com"))
    assert post(other, "checkout", {"plan": "max"}, key="k1").status_code == 200


def test_who_has_not_verified_their_address(fake_stripe, client, user):
    EmailAddress.objects.filter(user=user).update(verified=False)
    for path, body in (("checkout", {"plan": "pro"}), ("credits", {"quantity": 100}),
                       ("portal", {})):  # fmt: skip
        answer = post(client, path, body)
        assert answer.status_code == 403
        assert "erify" in error_of(answer)["message"]
    assert not Order.objects.exists()
    assert not Customer.objects.exists()


def test_who_calls_with_nothing(fake_stripe, client):
    for path, body in (("checkout", {"plan": "pro"}), ("credits", {"quantity": 100}),
                       ("portal", {})):  # fmt: skip
        assert post(Client(), path, body).status_code == 401


AWAY = "Stripe can't be reached now. Try again in a moment; nothing is paid twice."
SAID = {
    400: "Stripe did not accept this. If it happens again, tell the operator.",
    401: "Payments are not available now. The operator has to look at this deployment's Stripe "
    "key.",
}
REFUSED = {"error": {"type": "invalid_request_error", "message": "no"}}


@pytest.mark.parametrize("path, fault, status", [
    ("/v1/customers", {"drop": True}, 503),
    ("/v1/subscriptions", {"status": 500}, 503),
    ("/v1/checkout/sessions", {"drop": True}, 503),
    ("/v1/checkout/sessions", {"status": 500}, 503),
    ("/v1/checkout/sessions", {"status": 429}, 503),
    ("/v1/checkout/sessions", {"status": 401}, 503),
    ("/v1/checkout/sessions", {"status": 400, "body": REFUSED}, 502),
    ("/v1/checkout/sessions", {"status": 200, "body": "not json"}, 503),
])  # fmt: skip
def test_stripe_fails_and_the_next_try_works(fake_stripe, client, path, fault, status):
    fake_stripe.fault(path=path, times=10, **fault)
    answer = post(client, "checkout", {"plan": "pro"})
    assert answer.status_code == status
    assert error_of(answer)["message"] == SAID.get(fault.get("status"), AWAY)
    if status == 503:
        assert int(answer["retry-after"]) <= 60
    else:
        assert answer["x-should-retry"] == "false"
    fake_stripe.clear_faults()
    again = post(client, "checkout", {"plan": "pro"})
    assert again.status_code == 200
    assert len(open_sessions(fake_stripe)) == 1
    assert Order.objects.filter(state=State.OPEN).count() == 1
    assert not Payment.objects.exists()
    assert not Transfer.objects.exists()


def test_stripe_is_slow(fake_stripe, client, settings):
    """The time-out is ours; the page that Stripe made all the same is the one the next try gets."""
    settings.STRIPE_SECONDS = 1
    fake_stripe.fault(path="/v1/checkout/sessions", method="POST", delay=1.6, times=2)
    began = time.monotonic()
    answer = post(client, "checkout", {"plan": "pro"})
    assert answer.status_code == 503
    assert time.monotonic() - began < 1.9, "a time-out is not waited for twice"
    (slow, _) = fake_stripe.fault(path="/v1/nothing")["faults"]
    assert slow["times"] == 1, "nor is Stripe asked again"
    order = Order.objects.get()
    assert (order.state, order.stripe_id) == (State.OPEN, None)
    fake_stripe.clear_faults()
    assert post(client, "checkout", {"plan": "pro"}).status_code == 200
    assert Order.objects.get().pk == order.pk
    assert len(sessions(fake_stripe)) == 1


def test_the_answer_is_lost(fake_stripe, user, plans):
    """Stripe made the page, and the process died before it was written down."""
    order = checkout.open_plan(user, plans["pro"])
    Order.objects.update(stripe_id=None, url="")
    again = checkout.open_plan(user, plans["pro"])
    assert (again.pk, again.stripe_id) == (order.pk, order.stripe_id)
    assert len(sessions(fake_stripe)) == 1


def test_a_refusal_frees_the_key(fake_stripe, user, plans):
    PlanPrice.objects.filter(plan__slug="pro").update(stripe_id="price_gone")
    with pytest.raises(StripeRefused):
        checkout.open_plan(user, plans["pro"], "k1")
    assert Order.objects.get().state == State.FAILED
    PlanPrice.objects.filter(plan__slug="pro").delete()
    call_command("sync_plans", stdout=open_nothing())
    assert checkout.open_plan(user, plans["pro"], "k1").url


def test_stripe_has_another_account_now(fake_stripe, user, plans):
    old = checkout.open_plan(user, plans["pro"])
    before = Customer.objects.get(user=user).stripe_id
    fake_stripe.reset()
    fake_stripe.pause()
    call_command("sync_plans", stdout=open_nothing())
    order = checkout.open_plan(user, plans["pro"])
    assert order.pk != old.pk
    assert Customer.objects.get(user=user).stripe_id != before
    assert [one["id"] for one in open_sessions(fake_stripe)] == [order.stripe_id]


def at_once(*acts):
    """Run each in a thread of its own, as near to each other as can be."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place, act):
        try:
            barrier.wait()
            results[place] = act()
        except Exception as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=one) for one in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_at_once_get_one_customer_and_one_page(fake_stripe, user, plans):
    results = at_once(*[lambda: checkout.open_plan(user, plans["pro"])] * 8)
    assert {one.url for one in results} == {Order.objects.get().url}
    assert len(open_sessions(fake_stripe)) == 1
    assert len(fake_stripe.api.v1.customers.list().data) == 1


def test_two_plans_at_once_leave_one_page_open(fake_stripe, user, plans):
    """Whoever lost is told to try again, or their page is closed: never are two open to pay."""
    for _ in range(5):
        Order.objects.all().delete()
        results = at_once(
            lambda: checkout.open_plan(user, plans["pro"]),
            lambda: checkout.open_plan(user, plans["max"]),
        )
        assert all(isinstance(one, Order | StripeUnavailable) for one in results), results
        [order] = Order.objects.filter(state=State.OPEN)
        payable = [one["id"] for one in open_sessions(fake_stripe)]
        assert payable in ([order.stripe_id], []), results
        for id in payable:
            fake_stripe.expire(id)
