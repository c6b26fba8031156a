"""A thousand events, five copies each, shuffled, while handlers fail; then none at all for an hour.

What is granted in the end is what was paid: once. The control is a receiver that keys its grants
on the event's id, and grants twice where Stripe tells of one payment by two events.
"""

import random
import threading
from collections import Counter
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from djstripe.models import Event, WebhookEndpoint

from accounts import verbs as accounts
from accounts.models import User
from billing import catchup, checkout
from billing.events import LOOKS
from billing.models import CatchUp, Order, Payment
from common.errors import Unavailable
from ledger import verbs
from ledger.balances import balance_of
from ledger.models import Transfer
from tests.billing.posting import Poster
from tests.billing.stripe_world import CREDIT, in_threads, subscribe

PEOPLE = 60
EVENTS = 1000
COPIES = 5
THREADS = 8
DELAYED = 40

# One in ten handlers fails: some while granting, some after all is done but the event's own row.
FAILING = """
CREATE FUNCTION storm_fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.05 THEN
        RAISE EXCEPTION 'a failing handler' USING ERRCODE = '53400';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER storm_fails BEFORE INSERT ON ledger_grant
    FOR EACH ROW EXECUTE FUNCTION storm_fails();
CREATE TRIGGER storm_fails BEFORE INSERT ON djstripe_event
    FOR EACH ROW EXECUTE FUNCTION storm_fails();
CREATE TRIGGER storm_fails BEFORE UPDATE ON billing_order
    FOR EACH ROW EXECUTE FUNCTION storm_fails();
"""


@pytest.fixture
def failing(delivering):
    """``failing(True)``: from now on one handler in ten fails."""

    def switch(on):
        with connection.cursor() as cursor:
            cursor.execute(FAILING if on else "DROP FUNCTION storm_fails CASCADE")

    yield switch
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS storm_fails CASCADE")


@pytest.fixture
def people(clean_books):
    return [accounts.create_user(email=f"storm{n}@example.com") for n in range(PEOPLE)]


def buy(fake, person, number):
    """One purchase: paid at once, delayed, or for a plan; then perhaps refunded or disputed."""
    if number < PEOPLE:
        subscribe(fake, person, checkout.plan_named(("pro", "max")[number % 2]))
        return
    order = checkout.open_credits(person, 10 + number % 7)
    if number < PEOPLE + DELAYED:
        fake.pay(order.stripe_id, card="delayed")
        fake.end_delayed(order.stripe_id, "failed" if number % 10 == 0 else "succeeded")
        return
    card = "4000000000000259" if number % 9 == 0 else "4242424242424242"
    intent = fake.pay(order.stripe_id, card=card)["payment_intent"]
    if number % 9 == 1:
        fake.api.v1.refunds.create({"payment_intent": intent, "amount": 77})


def told(fake):
    """Every event of a type that we are told of."""
    events = fake.state()["tables"]["events"].values()
    return [event for event in events if event["type"] in LOOKS]


def paid_there(fake):
    """Paid sessions for credits, and paid invoices: what must be granted, by id."""
    tables = fake.state()["tables"]
    sessions = {
        one["id"]
        for one in tables["sessions"].values()
        if one["mode"] == "payment" and one["payment_status"] == "paid"
    }
    return sessions | {one["id"] for one in tables["invoices"].values() if one["status"] == "paid"}


def reconciles():
    """Exits, and so fails, when anything differs."""
    said = StringIO()
    try:
        call_command("reconcile", stripe=True, stdout=said)
    except SystemExit:
        raise AssertionError(said.getvalue()) from None


def check(fake):
    """Granted are the paid objects, each once and whole."""
    paid = paid_there(fake)
    assert set(Payment.objects.values_list("object_id", flat=True)) == paid
    keys = Counter(
        Transfer.objects.filter(kind__in=["purchase", "allowance"], reverses=None)
        .exclude(key__startswith="stripe:payment:")
        .exclude(key__startswith="control:")
        .values_list("key", flat=True)
    )
    assert {key.split(":")[2] for key in keys} == paid
    assert set(keys.values()) == {1}
    for payment in Payment.objects.select_related("order").filter(kind="credits"):
        assert payment.granted == payment.order.quantity * CREDIT
    reconciles()


def test_a_storm_of_events_and_an_hour_without(delivering, people, failing):
    fake = delivering
    fake.pause()
    bought, more, events = 0, PEOPLE + DELAYED, []
    while len(events) < EVENTS:
        numbers = range(bought, bought + more)
        in_threads([lambda n=n: buy(fake, people[n % PEOPLE], n) for n in numbers], THREADS)
        bought, events = bought + more, told(fake)
        more = (EVENTS - len(events)) * 2 // 5 + 1  # each brings two events, or some more
    deliveries = [event for event in events for _ in range(COPIES)]
    assert len(deliveries) >= EVENTS * COPIES
    random.Random(4).shuffle(deliveries)

    failing(True)
    refused = post_all(deliveries)
    failing(False)
    assert refused > EVENTS // 20, "handlers have failed"
    assert Event.objects.count() == len(events)
    check(fake)

    control(fake, deliveries)
    an_hour_without(fake, people, bought)
    check(fake)


def post_all(deliveries):
    """Post in threads, each again until it is taken; answers how many were refused meanwhile."""
    endpoint = WebhookEndpoint.objects.get()
    connection.close()
    local = threading.local()
    posters = []

    def post(event):
        if not hasattr(local, "poster"):
            local.poster = Poster(endpoint.url, endpoint.secret)
            posters.append(local.poster)
        return local.poster.post_until_taken(event)

    failures = in_threads([lambda event=event: post(event) for event in deliveries], THREADS)
    for poster in posters:
        poster.close()
    return sum(failures)


def control(fake, deliveries):
    """A receiver that looks at the object, too, but keys what it grants on the event's id."""
    wallet = verbs.wallet_of(user=accounts.create_user(email="control@example.com").pk)
    sessions = fake.state()["tables"]["sessions"]
    seen = set()
    with transaction.atomic():
        for event in deliveries:
            session = sessions.get(event["data"]["object"]["id"])
            is_paid = session and session["payment_status"] == "paid"
            if not is_paid or session["mode"] != "payment" or event["id"] in seen:
                continue
            seen.add(event["id"])
            verbs.grant(account=wallet, amount=1, kind="promotion", key=f"control:{event['id']}")
    paid = sum(
        one["mode"] == "payment" and one["payment_status"] == "paid" for one in sessions.values()
    )
    granted = balance_of(User.objects.get(email="control@example.com")).posted
    assert granted >= paid + DELAYED * 8 // 10, "delayed payments were granted twice"


def an_hour_without(fake, people, bought):
    """No webhook arrives; the catch-up finds everything, at its second try: the first one fails
    at some, and does what it can."""
    before = Payment.objects.count()
    numbers = range(bought, bought + 30)
    in_threads([lambda n=n: buy(fake, people[n % PEOPLE], n) for n in numbers], THREADS)
    fake.advance(fake.now + timedelta(hours=1))
    fake.fault(path="/v1/checkout/sessions/cs_", status=500, times=4)
    with pytest.raises(Unavailable):
        catchup.catch_up()
    caught = catchup.catch_up()
    assert caught.applied > 0
    assert Payment.objects.count() > before + 20
    assert CatchUp.objects.count() == 1
    assert not Order.objects.filter(state="open").exists()
    again = in_threads([catchup.catch_up] * 2, 2)
    assert [one.applied for one in again] == [0, 0]
