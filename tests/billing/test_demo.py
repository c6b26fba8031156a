"""The demo mode: the same verbs and addresses, no Stripe, nothing paid, all of it marked."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from accounts import verbs as accounts
from billing import checkout, demo, entitlements, tasks
from billing.errors import AlreadySubscribed
from billing.models import DemoSubscription, Order, Payment, Plan
from common.errors import BadInput, IdempotencyConflict, NotFound
from ledger.models import Account, Grant, Transfer
from tests.billing.buying import error_of, post, signed_in
from tests.billing.stripe_world import CREDIT

State = Order.State


@pytest.fixture(autouse=True)
def _demo(proved, settings):
    settings.ENABLE_PAYMENTS, settings.STRIPE_SECRET_KEY = False, ""


@pytest.fixture
def client(user):
    return signed_in(user)


@pytest.fixture
def subscribed(user, plans):
    """``subscribed("pro")`` answers the subscription, paid for now."""

    def subscribe(slug="pro"):
        demo.pay(checkout.open_plan(user, Plan.objects.get(slug=slug)), user)
        return demo.current(user)

    return subscribe


def balance(user):
    return Account.objects.get(owner=user, kind="wallet").posted


def shown(client):
    return client.get("/api/billing/subscription").json()


def test_buying_credits(client, user, plans):
    url = post(client, "credits", {"quantity": 100}).json()["url"]
    order = Order.objects.get()
    assert url.endswith(f"/dashboard/checkout/{order.pk}/")
    assert (order.demo, order.amount, order.stripe_id) == (True, 1000, None)
    assert not Payment.objects.exists()
    demo.pay(order, user)
    assert balance(user) == 100 * CREDIT
    payment = Payment.objects.get()
    assert (payment.demo, payment.kind, payment.paid) == (True, "credits", 1000)
    transfer = Transfer.objects.get()
    assert transfer.metadata["demo"] is True
    assert transfer.key == f"demo:order:{order.pk}"
    [bill] = client.get("/api/billing/invoices").json()["results"]
    assert bill["description"] == "100 credits (demo, nothing was paid)"


def test_paying_twice_or_at_once_grants_once(user, plans):
    order = checkout.open_credits(user, 100)

    def pay():
        try:
            barrier.wait()
            demo.pay(order, user)
        finally:
            connection.close()

    barrier = threading.Barrier(6)
    threads = [threading.Thread(target=pay) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    demo.pay(order, user)
    assert balance(user) == 100 * CREDIT
    assert Payment.objects.count() == 1


def test_a_declined_card_grants_nothing_and_can_be_tried_again(user, plans):
    order = checkout.open_credits(user, 100)
    declined = demo.decline(order, user)
    assert (declined.state, declined.failure) == (State.OPEN, "The card was declined.")
    assert not Payment.objects.exists()
    demo.pay(order, user)
    assert balance(user) == 100 * CREDIT


def test_another_users_order_is_nobodys(user, plans):
    order = checkout.open_credits(user, 100)
    other = accounts.create_user(email="other@example.com")
    for act in (demo.pay, demo.decline):
        with pytest.raises(NotFound):
            act(order, other)


def test_a_real_order_is_never_paid_for_nothing(user, plans, settings):
    order = checkout.open_credits(user, 100)
    settings.ENABLE_PAYMENTS = True
    with pytest.raises(NotFound):
        demo.pay(order, user)
    settings.ENABLE_PAYMENTS = False
    Order.objects.update(demo=False)
    with pytest.raises(NotFound):
        demo.pay(order, user)
    assert not Payment.objects.exists()


def test_an_ended_order_is_not_paid(user, plans):
    first = checkout.open_plan(user, plans["pro"])
    checkout.open_plan(user, plans["max"])
    with pytest.raises(demo.OrderEnded):
        demo.pay(first, user)
    assert not DemoSubscription.objects.exists()


def test_subscribing(client, user, plans):
    order = checkout.open_plan(user, plans["pro"])
    demo.pay(order, user)
    now = shown(client)
    assert (now["plan"]["slug"], now["status"], now["source"]) == ("pro", "active", "demo")
    assert now["payments"] == "demo"
    assert now["price"] == {"amount": 900, "currency": "usd"}
    assert balance(user) == 100 * CREDIT
    lot = Grant.objects.get()
    assert lot.kind == "allowance"
    assert lot.expires_at == demo.current(user).period_end
    assert Payment.objects.get().demo


def test_who_is_subscribed_is_sent_to_the_local_portal(client, user, subscribed, settings):
    subscribed()
    url = post(client, "checkout", {"plan": "max"}).json()["url"]
    assert url == post(client, "portal", {}).json()["url"]
    assert url.startswith(settings.PUBLIC_URL)
    with pytest.raises(AlreadySubscribed):
        checkout.open_plan(user, Plan.objects.get(slug="pro"))


def test_canceling_and_going_on(client, user, subscribed):
    row = subscribed()
    demo.cancel(user)
    now = shown(client)
    assert now["cancel_at"] == now["period_end"]
    demo.resume(user)
    assert shown(client)["cancel_at"] is None
    demo.cancel(user)
    assert demo.renew(row.period_end - timedelta(seconds=1)) == 0
    assert demo.renew(row.period_end) == 1
    now = shown(client)
    assert (now["plan"]["slug"], now["source"]) == ("free", None)
    assert datetime.fromisoformat(now["ended_at"]) == row.period_end
    assert Payment.objects.count() == 1
    with pytest.raises(demo.NotSubscribed):
        demo.resume(user)


def test_a_period_renews_once(user, subscribed):
    row = subscribed()
    assert demo.renew(row.period_end) == 1
    assert demo.renew(row.period_end) == 0
    assert tasks.renew_demo() == 0
    now = demo.current(user)
    assert now.period_start == row.period_end
    assert Payment.objects.count() == 2
    assert {one.key for one in Transfer.objects.all()} == {
        f"demo:order:{row.order_id}",
        f"demo:order:{row.order_id}:1",
    }
    assert entitlements.current(user).period_end == now.period_end


def test_two_machines_renew_once(user, subscribed):
    row = subscribed()
    barrier, taken = threading.Barrier(4), []

    def renew():
        try:
            barrier.wait()
            taken.append(demo.renew(row.period_end))
        finally:
            connection.close()

    threads = [threading.Thread(target=renew) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    demo.renew(row.period_end)
    assert sum(taken) == 1
    assert Payment.objects.count() == 2


def test_a_late_run_grants_for_the_period_that_runs(user, subscribed):
    row = subscribed()
    late = demo.months_after(row.anchor, 4) + timedelta(days=3)
    assert demo.renew(late) == 1
    now = demo.current(user)
    assert now.period_start == demo.months_after(row.anchor, 4)
    assert now.period_end == demo.months_after(row.anchor, 5)
    assert Payment.objects.count() == 2


def test_month_ends_are_as_stripe_has_them():
    anchor = datetime(2027, 1, 31, 12, tzinfo=UTC)
    ends = [demo.months_after(anchor, n) for n in (1, 2, 3, 12, 13)]
    assert [(end.year, end.month, end.day) for end in ends] == [
        (2027, 2, 28), (2027, 3, 31), (2027, 4, 30), (2028, 1, 31), (2028, 2, 29),
    ]  # fmt: skip


def test_a_dearer_plan_begins_at_once_with_the_difference(user, subscribed):
    row = subscribed()
    half = row.period_start + (row.period_end - row.period_start) / 2
    DemoSubscription.objects.update(  # half of the period is over
        period_start=timezone.now() - (half - row.period_start),
        period_end=timezone.now() + (row.period_end - half),
    )
    demo.change_plan(user, Plan.objects.get(slug="max"))
    assert entitlements.current(user).plan.slug == "max"
    # 100 at first, and half of 400 - 100; a second or two of the test is lost.
    assert 249 * CREDIT < balance(user) <= 250 * CREDIT
    assert Payment.objects.count() == 2
    assert demo.current(user).amount == 2900


def test_a_cheaper_plan_begins_with_the_next_period(client, user, subscribed):
    row = subscribed("max")
    demo.change_plan(user, Plan.objects.get(slug="pro"))
    now = shown(client)
    assert (now["plan"]["slug"], now["scheduled_plan"]) == ("max", "pro")
    demo.keep_plan(user)
    assert shown(client)["scheduled_plan"] is None
    demo.change_plan(user, Plan.objects.get(slug="pro"))
    demo.renew(row.period_end)
    now = shown(client)
    assert (now["plan"]["slug"], now["scheduled_plan"]) == ("pro", None)
    assert now["price"]["amount"] == 900
    assert balance(user) == (400 + 100) * CREDIT  # the first lot has its own date


def test_a_plan_that_is_not_for_sale_can_not_be_changed_to(user, subscribed):
    subscribed()
    for slug in ("free", "internal"):
        with pytest.raises(BadInput):
            demo.change_plan(user, Plan.objects.get(slug=slug))


def test_one_trial_each(client, user, plans):
    Plan.objects.filter(slug="pro").update(trial_days=7, trial_allowance=2 * CREDIT)
    pro = Plan.objects.get(slug="pro")
    demo.pay(checkout.open_plan(user, pro), user)
    row, now = demo.current(user), shown(client)
    assert (now["status"], now["trial_end"]) == ("trialing", now["period_end"])
    assert row.period_end - row.period_start == timedelta(days=7)
    assert balance(user) == 2 * CREDIT
    demo.renew(row.period_end)
    after = demo.current(user)
    assert after.period_start == row.trial_end
    assert after.period_end == demo.months_after(row.trial_end, 1)
    assert balance(user) == 102 * CREDIT
    demo.end_now(user)
    demo.pay(checkout.open_plan(user, pro), user)
    assert shown(client)["status"] == "active"


def test_who_has_left_is_not_renewed(user, subscribed):
    row = subscribed()
    type(user).objects.filter(pk=user.pk).update(is_active=False)
    demo.renew(row.period_end)
    assert not demo.is_subscribed(user)
    assert Payment.objects.count() == 1


def test_the_demo_ends_where_payments_begin(user, subscribed, settings):
    row = subscribed()
    settings.ENABLE_PAYMENTS = True
    with pytest.raises(demo.NotSubscribed):
        demo.change_plan(user, Plan.objects.get(slug="max"))
    demo.renew(row.period_end)
    assert not demo.is_subscribed(user)
    assert Payment.objects.count() == 1


def test_keys_and_bad_input_are_as_with_stripe(client, user, plans):
    first = post(client, "credits", {"quantity": 100}, key="k1")
    assert post(client, "credits", {"quantity": 100}, key="k1").json() == first.json()
    with pytest.raises(IdempotencyConflict):
        checkout.open_credits(user, 101, "k1")
    for body in ('{"quantity": 0}', '{"quantity": "5"}', '{"quantity": 1e309}'):
        assert error_of(post(client, "credits", body))["param"] == "quantity"
    assert error_of(post(client, "checkout", {"plan": "gold"}))["param"] == "plan"
    again = checkout.open_plan(user, plans["pro"])
    assert checkout.open_plan(user, plans["pro"]).pk == again.pk


def test_an_order_runs_out_after_a_day(user, plans):
    old, young = checkout.open_plan(user, plans["pro"]), checkout.open_credits(user, 100)
    Order.objects.filter(pk=old.pk).update(created=timezone.now() - timedelta(hours=25))
    assert tasks.give_up_orders() == 1
    old.refresh_from_db()
    assert old.state == State.EXPIRED
    with pytest.raises(demo.OrderEnded):
        demo.pay(old, user)
    demo.pay(young, user)
    assert checkout.open_plan(user, plans["pro"]).pk != old.pk


def test_one_that_fails_does_not_keep_up_the_others(user, subscribed, plans, connect):
    other = accounts.create_user(email="other@example.com")
    first = subscribed()
    demo.pay(checkout.open_plan(other, plans["pro"]), other)
    last = demo.current(other).period_end
    busy = connect(autocommit=False)
    busy.execute("SELECT FROM ledger_account WHERE owner_id = %s FOR UPDATE", [user.pk])
    assert demo.renew(last) == 1  # the first one's wallet is busy for longer than it is waited
    busy.rollback()
    assert demo.current(user).period_end == first.period_end
    assert demo.renew(last) == 1
    assert Payment.objects.count() == 4
