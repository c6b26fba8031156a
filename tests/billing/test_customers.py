"""One customer a user, whatever happens in between."""

import threading

import pytest
from django.db import connection

from accounts import verbs as accounts
from billing import customers, tasks
from billing.errors import StripeUnavailable
from billing.models import Customer
from common.errors import PermissionRefused


def at_stripe(fake):
    return list(fake.api.v1.customers.list({"limit": 100}).auto_paging_iter())


def test_a_customer_is_made_once(fake_stripe, user):
    first = customers.customer_of(user)
    assert customers.customer_of(user).stripe_id == first.stripe_id
    [one] = at_stripe(fake_stripe)
    assert (one.id, one.email) == (first.stripe_id, user.email)
    assert one.metadata.to_dict() == {"farebox_user": str(user.pk)}


def test_two_at_once_make_one(fake_stripe, user):
    made, barrier = [], threading.Barrier(8)

    def make():
        try:
            barrier.wait()
            made.append(customers.customer_of(user).stripe_id)
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(made) == 8
    assert set(made) == {one.id for one in at_stripe(fake_stripe)}
    assert len(set(made)) == 1


def test_the_control_without_a_key_of_the_cause_there_are_two(fake_stripe, user):
    """What the idempotency key is for: the same questions without it make two customers."""
    for _ in range(2):
        fake_stripe.api.v1.customers.create({"email": user.email})
    assert len(at_stripe(fake_stripe)) == 2


def test_the_process_dies_before_it_is_written_down(fake_stripe, user):
    first = customers.customer_of(user).stripe_id
    Customer.objects.all().delete()
    assert customers.customer_of(user).stripe_id == first
    assert len(at_stripe(fake_stripe)) == 1


def test_the_answer_is_lost_on_the_way(fake_stripe, user):
    fake_stripe.fault(path="/v1/customers", method="POST", drop=True, times=10)
    with pytest.raises(StripeUnavailable):
        customers.customer_of(user)
    assert not Customer.objects.exists()
    fake_stripe.clear_faults()
    customers.customer_of(user)
    assert len(at_stripe(fake_stripe)) == 1


def test_two_databases_that_share_an_account(fake_stripe, user):
    """Their users may have the same numbers."""
    first = customers.customer_of(user).stripe_id
    Customer.objects.all().delete()
    user.date_joined = user.date_joined.replace(microsecond=(user.date_joined.microsecond + 1) % 9)
    assert customers.customer_of(user).stripe_id != first


def test_a_new_address_is_passed_on_after_commit(fake_stripe, user, monkeypatch):
    customer = customers.customer_of(user)
    queued = []
    monkeypatch.setattr(customers, "_queue", queued.append)
    user.save()  # nothing changed
    user.email = "new@example.com"
    user.save(update_fields=["first_name"])  # not saved
    assert queued == []
    user.save(update_fields=["email"])
    assert queued == [user.pk]
    tasks.pass_on_email(user.pk)
    assert fake_stripe.api.v1.customers.retrieve(customer.stripe_id).email == "new@example.com"
    assert not customers.pass_on_email(user)  # done
    user.save()
    assert queued == [user.pk]


def test_an_address_whose_task_was_lost_goes_with_the_next_purchase(fake_stripe, user):
    customer = customers.customer_of(user)
    user.email = "new@example.com"
    customers.customer_of(user)
    assert fake_stripe.api.v1.customers.retrieve(customer.stripe_id).email == "new@example.com"


def test_others_have_nothing_to_pass_on(fake_stripe, monkeypatch):
    queued = []
    monkeypatch.setattr(customers, "_queue", queued.append)
    other = accounts.create_user(email="other@example.com")
    other.email = "another@example.com"
    other.save()
    assert queued == []
    assert not customers.pass_on_email(other)


def test_a_customer_deleted_at_stripe_is_made_anew(fake_stripe, user):
    old = customers.customer_of(user).stripe_id
    fake_stripe.api.v1.customers.delete(old)
    asked = []

    def act(id):
        asked.append(id)
        with customers.asking("open a portal"):
            return fake_stripe.api.v1.billing_portal.sessions.create({"customer": id}).id

    assert customers.for_customer(user, act).startswith("bps_")
    assert asked[0] == old
    assert asked[1] == Customer.objects.get(user=user).stripe_id != old


def test_nobody_buys_who_is_leaving(fake_stripe, user):
    customers.customer_of(user)
    Customer.objects.update(closing_at="2026-01-01T00:00Z")
    with pytest.raises(PermissionRefused):
        customers.customer_of(user)
