"""The same event, delivered by many connections at once: one effect."""

from django.db import connection
from djstripe.models import Event, WebhookEndpoint

from billing import checkout
from billing.models import Letter, Payment
from ledger.balances import balance_of
from ledger.models import Transfer
from tests.billing.posting import Poster
from tests.billing.stripe_world import CREDIT, invoices_of, subscribe
from tests.racing import at_once

COPIES = 20


def deliver_at_once(fake, type, copies=COPIES):
    """Post the only event of a type ``copies`` times, all let go at one moment."""
    [event] = [e for e in fake.state()["tables"]["events"].values() if e["type"] == type]
    endpoint = WebhookEndpoint.objects.get()
    connection.close()
    posters = [Poster(endpoint.url, endpoint.secret) for _ in range(copies)]
    statuses = at_once([lambda poster=poster: poster.post(event) for poster in posters])
    for poster in posters:
        poster.close()
    # Whoever came while another wrote may be told to come again; nobody is told that it is well
    # before it is.
    assert set(statuses) <= {200, 503}
    assert 200 in statuses


def test_a_paid_session_by_twenty_connections(delivering, user):
    delivering.pause()
    order = checkout.open_credits(user, 100)
    delivering.pay(order.stripe_id)
    deliver_at_once(delivering, "checkout.session.completed")
    assert balance_of(user).available == 100 * CREDIT
    assert Payment.objects.count() == Event.objects.count() == 1
    assert Transfer.objects.count() == 1
    assert Letter.objects.count() == 1


def test_a_paid_invoice_and_its_refund_by_twenty_connections(delivering, user, plans):
    delivering.pause()
    subscription = subscribe(delivering, user, plans["pro"])
    deliver_at_once(delivering, "invoice.paid")
    assert balance_of(user).available == 100 * CREDIT
    payment = Payment.objects.get(object_id=invoices_of(delivering, subscription)[0])
    delivering.api.v1.refunds.create({"payment_intent": payment.payment_intent, "amount": 450})
    deliver_at_once(delivering, "charge.refunded")
    assert balance_of(user).available == 50 * CREDIT
    assert Payment.objects.get().revision == 1
    assert Transfer.objects.count() == 2
