"""Leaving while money comes in: both take the user's row first, so neither stops the other."""

import threading
from functools import partial

import pytest
from django.db import connection, transaction

from accounts import leaving
from billing import checkout, payments, topup
from billing.models import Order, Payment, TopUp
from ledger.models import Account
from tests.billing.stripe_world import CREDIT, in_threads
from tests.proxy.server import wait_for

# Not pg_stat_activity, which stays as it was when a transaction first looked.
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return cursor.fetchone()[0] > 0


@pytest.fixture
def meeting(monkeypatch):
    """A step of leaving, after the wallet was closed and before the rest: the others come now."""
    closed = threading.Event()

    def step(_user):
        closed.set()
        wait_for(somebody_waits, what="the other one to wait for a lock")

    at = next(n for n, one in enumerate(leaving._steps) if one.__name__ == "forfeit_balance") + 1
    monkeypatch.setattr(leaving, "_steps", [*leaving._steps[:at], step, *leaving._steps[at:]])
    return closed


def both(user, closed, other):
    def later():
        closed.wait(10)
        return other()

    return in_threads([partial(leaving.delete_account, user=user), later], 2)


def test_a_payment_comes_in(fake_stripe, user, meeting):
    order = checkout.open_credits(user, 10)
    fake_stripe.pay(order.stripe_id)
    gone, payment = both(user, meeting, partial(payments.apply_session, order.stripe_id))
    assert gone
    assert payment.granted == 10 * CREDIT, "the books have it"
    assert Order.objects.get().state == "paid"
    assert Account.objects.get(owner=user).posted in (0, 10 * CREDIT)  # due at once


def test_top_up_is_switched_on(fake_stripe, user, meeting):
    order = checkout.open_credits(user, 10)
    fake_stripe.pay(order.stripe_id)
    payments.apply_session(order.stripe_id)

    def switch_on():
        with transaction.atomic():  # its part in the database, as topup.switch_on has it
            topup._locked(user)
            topup.low.mark(user.pk)

    gone, _ = both(user, meeting, switch_on)
    assert gone
    assert Payment.objects.count() == 1
    assert not TopUp.objects.filter(enabled=True).exists()
