"""Leaving while money comes in: both take the user's row first, so neither stops the other."""

import threading
from functools import partial

import pytest
from django.db import IntegrityError, connection, transaction
from djstripe.models import Charge, Refund

from accounts import leaving
from billing import checkout, payments, topup
from billing.gateway import mirror, traces
from billing.gateway.moments import moment
from billing.models import Customer, Order, Payment, TopUp
from common.errors import Unavailable
from ledger.models import Account
from tests.billing.stripe_world import CREDIT, in_threads
from tests.proxy.server import wait_for

# In this database: other processes' tests wait for locks in theirs.
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""


def somebody_waits():
    with connection.cursor() as cursor:
        # Else the view stays as it was when a transaction first looked.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
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
        closed.wait(60)
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


@pytest.fixture
def charged(fake_stripe, user):
    """A charge that is kept here, and a refund of it that is not yet: its id."""
    order = checkout.open_credits(user, 10)
    fake_stripe.pay(order.stripe_id)
    payment = payments.apply_session(order.stripe_id)
    intent = fake_stripe.api.v1.payment_intents.retrieve(payment.payment_intent)
    mirror.refresh(Charge, intent.latest_charge)
    Refund.objects.all().delete()
    return fake_stripe.api.v1.refunds.create({"charge": intent.latest_charge, "amount": 30}).id


def heard_meanwhile(refund, forget, until):
    """A transaction that forgets, in which the refund comes in between Django's look at what hangs
    on the charge and its deletion; this goes on when ``until``, given whether it was heard, is
    true."""
    data, asked = mirror.fetch("refund", refund), moment()
    looked, heard = threading.Event(), threading.Event()

    def between(execute, sql, params, many, context):
        if sql.startswith('DELETE FROM "djstripe_charge"'):
            looked.set()
            wait_for(lambda: until(heard.is_set()), what="the refund, or its waiting")
        return execute(sql, params, many, context)

    def leave():
        with connection.execute_wrapper(between), transaction.atomic():
            forget()

    def hear():
        looked.wait(60)
        mirror.keep_told(Refund, data, asked)
        heard.set()

    in_threads([leave, hear], 2)


def test_a_refund_is_heard_of(charged, user):
    customer = Customer.objects.get(user=user).stripe_id
    with pytest.raises(Unavailable, match="just being deleted"):  # Stripe tells of it again
        heard_meanwhile(charged, lambda: traces.forget(customer), lambda _: somebody_waits())
    assert not Charge.objects.exists()
    assert not Refund.objects.exists()


def test_a_refund_is_heard_of_without_the_lock(charged, user):
    """The control."""
    with pytest.raises(IntegrityError, match="djstripe_refund"):
        heard_meanwhile(charged, Charge.objects.all().delete, lambda heard: heard)
    assert Charge.objects.exists(), "nothing was forgotten"
