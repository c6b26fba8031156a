"""One top-up, however many cross the threshold or attend to it at once."""

from functools import partial
from threading import Barrier

import pytest
from django.db import IntegrityError, connection, connections

from billing import topping_up, topup
from billing.entitlements import assign_plan
from billing.models import Order, Payment, Plan, TopUp
from ledger import marks
from tests.billing.topups import CREDIT, attempts, buy, credits_of, switch_on
from tests.racing import at_once, on
from tests.usage.begun import begin
from usage import calls
from usage.prices import Usage

FINISHES = 500
THREADS = 20


def closing(work):
    try:
        return work()
    finally:
        connections.close_all()


def test_500_finishes_at_once_buy_one_bundle(fake_stripe, user, wallet, fund, connect):
    """Each asks for the top-up itself when it has crossed, and so does beat meanwhile."""
    plan = Plan.objects.create(slug="test", name="No limits")
    assign_plan(user=user, plan=plan)
    buy(fake_stripe, user, 20)
    switch_on(user, threshold=10)
    fund(wallet, 50 * FINISHES)  # what the calls hold
    price = 11 * CREDIT // FINISHES
    fund(wallet, price * FINISHES)
    held = [begin(user=user).call for _ in range(FINISHES)]
    # What is there, less the held: 20 credits; each call takes a bit more than it holds.
    marks.set_low_mark(account=wallet, mark=20 * CREDIT + price * FINISHES // 2)
    TopUp.objects.update(threshold=20 * CREDIT + price * FINISHES // 2)
    conns = [connect() for _ in range(THREADS)]

    def work(number: int) -> int:
        crossed = 0
        for call in held[number::THREADS]:
            done = on(conns[number], calls.finish, call=call, status="completed", charge=price,
                      cost=0, usage=Usage(), estimated=False)  # fmt: skip
            if done.crossed:
                crossed += 1
                topping_up.attend(user.pk)
        for beat in topping_up.due():
            topping_up.attend(beat)
        return crossed

    crossed = sum(at_once([partial(closing, partial(work, n)) for n in range(THREADS)]))
    assert attempts(user) == ["paid"]
    assert crossed == 1
    found = fake_stripe.api.v1.payment_intents.list({"limit": 100}).data
    assert sum(1 for one in found if one.amount == Order.objects.get(kind="top_up").amount) == 1


def test_many_that_attend_at_once_buy_one_bundle(fake_stripe, user):
    buy(fake_stripe, user)
    switch_on(user, threshold=30)
    bought = at_once([partial(closing, partial(topping_up.attend, user.pk))] * 12)
    assert sum(bought) == 1
    assert attempts(user) == ["paid"]
    assert credits_of(user) == 70
    assert Payment.objects.filter(kind="top_up").count() == 1


def naive(user, gate: Barrier) -> bool:
    """Look, then order: what attending does, without its lock and lease."""
    assert topup.last_order(user.pk) is None
    gate.wait(timeout=30)
    try:
        Order.objects.create(user=user, kind="top_up", quantity=1, amount=50, currency="usd")
    except IntegrityError:
        return False
    return True


def ordered(user) -> int:
    gate = Barrier(6)
    return sum(at_once([partial(closing, partial(naive, user, gate))] * 6))


@pytest.mark.usefixtures("clean_books")
def test_the_database_takes_one_open_order(user):
    """Even from somebody who forgets lock and lease."""
    assert ordered(user) == 1


@pytest.mark.usefixtures("clean_books")
def test_without_the_constraint_there_would_be_many(user):
    """The control."""
    constraint = next(
        one for one in Order._meta.constraints if one.name == "billing_order_one_top_up"
    )
    with connection.schema_editor() as editor:
        editor.remove_constraint(Order, constraint)
    try:
        assert ordered(user) == 6
    finally:
        Order.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(Order, constraint)
