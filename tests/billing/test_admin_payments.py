"""Staff refund payments through Stripe: at most what is left, credits revoked in proportion."""

import pytest
from django.contrib.admin.models import LogEntry
from djstripe.models import Charge, Refund

from billing.models import Payment
from ledger import verbs
from ledger.balances import balance_of
from ledger.models import Transfer
from tests.billing.staff import buy, clerk, do, fill, page_of
from tests.billing.stripe_world import CREDIT


@pytest.fixture
def payment(delivering, user):
    """100 credits for 10.00."""
    return buy(delivering, user)


def test_a_part_then_the_rest(delivering, admin, staff, user, payment):
    delivering.pause()  # what follows is there before an event has come
    path = page_of(payment, "refund")
    asked = admin.post(path, fill(admin, path, amount="4.00")).content.decode()
    assert "rider@example.com gets $4.00 back; 40.000000 credits are revoked." in asked

    page = do(admin, path, amount="4.00")
    assert "Refunded $4.00: They asked." in page
    assert balance_of(user).posted == 60 * CREDIT
    payment.refresh_from_db()
    assert (payment.refunded, payment.revoked) == (400, 40 * CREDIT)
    assert "partly refunded" in page
    made = delivering.api.v1.refunds.list({"limit": 5}).data
    assert [(one.amount, one.metadata["farebox_actor"]) for one in made] == [(400, str(staff.pk))]
    assert Refund.objects.get().id == made[0].id

    assert "at most $6.00" in admin.get(path).content.decode()
    do(admin, path, amount="6")
    assert balance_of(user).posted == 0
    assert path not in admin.get(page_of(payment)).content.decode()
    transfers = Transfer.objects.count()
    delivering.resume(replay=True)
    delivering.settled()
    assert Transfer.objects.count() == transfers

    said = LogEntry.objects.filter(content_type__model="user").latest("id")
    assert said.change_message == f"Refunded $6.00: They asked. (payment {payment})"
    assert said.user == staff


def test_sent_twice_it_is_refunded_once(delivering, admin, user, payment):
    path = page_of(payment, "refund")
    sent = fill(admin, path, amount="4.00") | {"confirmed": "yes"}
    for _ in range(2):
        assert admin.post(path, sent).status_code == 302
    assert len(delivering.api.v1.refunds.list().data) == 1
    assert balance_of(user).posted == 60 * CREDIT


def test_what_was_spent_becomes_owed_and_the_page_says_so(delivering, admin, user, wallet, payment):
    verbs.spend(account=wallet, amount=70 * CREDIT, key="spent")
    path = page_of(payment, "refund")
    sent = fill(admin, path, amount="5")
    asked = admin.post(path, sent).content.decode()
    assert "50.000000 credits are revoked. Of these 20.000000 are spent already" in asked
    admin.post(path, sent | {"confirmed": "yes"})
    assert balance_of(user).owed == 20 * CREDIT

    page = admin.get(page_of(user)).content.decode()
    assert "20.000000</code> credits are owed" in page
    assert page_of(payment) in page
    do(admin, page_of(user, "grant"), amount="20", kind="promotion", expires="")
    assert balance_of(user).owed == 0
    assert "Frozen" not in admin.get(page_of(user)).content.decode()


@pytest.mark.parametrize("amount", ["10.01", "0", "-1", "1e1", "1.001", "", "x", "4,00"])
def test_an_amount_that_can_not_be_is_said_on_the_form(admin, payment_row, amount):
    path = page_of(payment_row, "refund")
    sent = fill(admin, path, amount=amount) | {"confirmed": "yes"}
    page = admin.post(path, sent)
    assert page.status_code == 200
    assert page.context["form"].errors["amount"]


@pytest.fixture
def payment_row(clean_books, user):
    return Payment.objects.create(
        object_id="cs_x", user=user, kind="credits", paid=1000, currency="usd",
        payment_intent="pi_x",
    )  # fmt: skip


def test_who_may_only_look_sees_no_button(payment_row):
    client = clerk("billing.Payment")
    path = page_of(payment_row, "refund")
    page = client.get(page_of(payment_row)).content.decode()
    assert "$10.00" in page
    assert path not in page
    assert client.get(path).status_code == 403
    assert client.post(path, {"confirmed": "yes"}).status_code == 403


def test_more_than_stripe_has_left_is_refused_in_its_words(delivering, admin, user, payment):
    """Somebody refunded at Stripe, and its event has not come yet."""
    delivering.pause()
    path = page_of(payment, "refund")
    sent = fill(admin, path, amount="8") | {"confirmed": "yes"}
    delivering.api.v1.refunds.create({"payment_intent": payment.payment_intent, "amount": 500})
    page = admin.post(path, sent).content.decode()
    assert "Stripe refuses this" in page
    assert balance_of(user).posted == 100 * CREDIT
    assert not LogEntry.objects.exists()


def test_demo_payments_have_nothing_to_refund(admin, payment_row):
    Payment.objects.update(demo=True)
    page = admin.get(page_of(payment_row)).content.decode()
    assert page_of(payment_row, "refund") not in page


def test_the_lists_find_by_address_and_id_and_filter(delivering, admin, user, payment):
    base = "/admin/billing/payment/"
    for query in ("RIDER@", payment.object_id, payment.payment_intent):
        assert page_of(payment) in admin.get(base, {"q": query}).content.decode()
    assert page_of(payment) not in admin.get(base, {"q": "other@"}).content.decode()
    assert page_of(payment) not in admin.get(base, {"demo__exact": "1"}).content.decode()
    orders = admin.get("/admin/billing/order/", {"q": "rider@", "state__exact": "paid"})
    assert "100 credits" in orders.content.decode()
    assert "$10.00" in orders.content.decode()


def test_a_payments_page_links_lots_and_transfers(delivering, admin, payment):
    page = admin.get(page_of(payment)).content.decode()
    lot = payment.lots.get().grant
    assert page_of(lot) in page
    assert f"/admin/ledger/transfer/{lot.transfer_id}/change/" in page


def test_refunds_and_disputes_at_stripe_are_kept_and_linked(delivering, admin, payment):
    delivering.api.v1.refunds.create({"payment_intent": payment.payment_intent, "amount": 100})
    delivering.settled()
    charge = Charge.objects.get()
    assert page_of(charge) in admin.get(page_of(payment)).content.decode()
    page = admin.get(page_of(charge)).content.decode()
    assert page_of(Refund.objects.get()) in page
    assert page_of(payment) in page
