"""Webhooks, pages, the catch-up, top-ups, staff's refunds, disputes and people who leave, all at
once for the same few people: nobody waits for somebody who waits for them, and the books hold."""

import random
import uuid
from functools import partial
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import OperationalError
from psycopg.errors import LockNotAvailable
from structlog.testing import capture_logs

from accounts import leaving
from accounts import verbs as accounts
from billing import (
    catchup,
    checkout,
    entitlements,
    low,
    operations,
    payments,
    returns,
    topping_up,
    topup,
)
from billing.models import Order, Payment
from common.errors import FareboxError
from ledger import verbs
from tests.billing.stripe_world import CREDIT, in_threads, subscribe
from tests.fakes.stripe.handle import Refused

PEOPLE = 8
ROUNDS = 40
CANARIES = ("canary", "4242", "sk_test_", "whsec_", "_secret_")


@pytest.fixture
def people(delivering, plans):
    """Each with a plan, bought credits, and top-up at a threshold that is crossed at once."""
    found = [accounts.create_user(email=f"canary{n}@example.com") for n in range(PEOPLE)]

    def begin(person):
        subscribe(delivering, person, plans["pro"])
        order = checkout.open_credits(person, 20)
        delivering.pay(order.stripe_id)
        payments.apply_session(order.stripe_id)
        topup.switch_on(person, threshold=5000 * CREDIT, quantity=10, monthly_cap=30)

    in_threads([partial(begin, person) for person in found], 4)
    return found


def test_everything_at_once(delivering, people):
    fake, dice = delivering, random.Random(7)
    opened = [checkout.open_credits(dice.choice(people), 5 + n) for n in range(ROUNDS // 2)]

    def pay_and_return(order):
        fake.pay(order.stripe_id)
        returns.ask(order)

    def refund_some():
        payment = dice.choice(list(Payment.objects.exclude(payment_intent="")))
        cents = dice.randint(1, 60)
        operations.refund(payment, cents, key=f"admin:{uuid.uuid4()}", actor=1)

    def dispute_some():
        payment = dice.choice(list(Payment.objects.filter(kind="credits", disputed=0)))
        intent = fake.api.v1.payment_intents.retrieve(payment.payment_intent)
        dispute = fake.dispute(intent.latest_charge, 30)
        fake.close_dispute(dispute["id"], dice.choice(["won", "lost"]))

    def spend(person):
        wallet = verbs.wallet_of(user=person.pk)
        verbs.spend(account=wallet, amount=CREDIT, key=f"spent:{uuid.uuid4()}")

    def attend(person):
        topping_up.attend(person.pk)
        low.mark(person.pk)
        entitlements.follow(person)

    work = [partial(pay_and_return, order) for order in opened]
    work += [partial(attend, dice.choice(people)) for _ in range(ROUNDS)]
    work += [partial(spend, dice.choice(people)) for _ in range(ROUNDS)]
    work += [refund_some] * (ROUNDS // 2) + [dispute_some] * (ROUNDS // 4)
    work += [catchup.catch_up] * 2
    work += [partial(leaving.delete_account, user=person) for person in people[:3]]
    dice.shuffle(work)
    with capture_logs() as said:
        refusals = [error for error in in_threads([partial(tried, one) for one in work]) if error]
        fake.settled(60)
    # Refused is a charge that is disputed, a wallet that is empty or frozen; never one who waits.
    busy = [one for one in refusals if one.status >= 500 and "busy" in one.message.lower()]
    assert not busy, busy
    errors = {one["event"] for one in said if one["log_level"] == "error"}
    assert errors <= {"Stripe refuses a request"}, errors
    assert not [one for one in fake.deliveries()["deliveries"] if one["state"] != "delivered"]
    text = repr(said)
    assert not [canary for canary in CANARIES if canary in text]
    assert_reconciled(fake)


def tried(one):
    """A refusal, if it is one of ours. On a busy machine somebody may wait for a lock in vain, and
    tries again, as Stripe does."""
    for last in (False, False, True):
        try:
            one()
        except FareboxError as error:
            if last or not waited_in_vain(error):
                return error
        except Refused:  # the fake's: somebody else disputed that charge, or its customer has left
            return None
        except OperationalError:
            if last:
                raise
        else:
            return None


def waited_in_vain(error):
    """Whether the ledger refused because somebody held the lock for its two seconds. A deadlock
    is another matter."""
    return isinstance(getattr(error.__context__, "__cause__", None), LockNotAvailable)


def assert_reconciled(fake):
    catchup.catch_up()
    out = StringIO()
    try:
        call_command("reconcile", stripe=True, stdout=out)
    except SystemExit:
        raise AssertionError(out.getvalue()) from None
    paid = Order.objects.filter(kind="top_up", state="paid").count()
    assert paid == Payment.objects.filter(kind="top_up").count()
