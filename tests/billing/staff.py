"""What staff do in a browser, and the subscribers and buyers that they do it to."""

from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from djstripe.models import Subscription

from accounts.models import User
from billing import checkout
from billing.models import Customer, Payment, Plan
from tests.admin_pages import token_on
from tests.fakes.stripe.handle import FakeStripe


def subscribe(stripe: FakeStripe, user: User, slug: str = "pro") -> Subscription:
    """Through Checkout; the events are delivered."""
    order = checkout.open_plan(user, Plan.objects.get(slug=slug))
    stripe.pay(order.stripe_id)
    stripe.settled()
    customer = Customer.objects.get(user=user)
    return Subscription.objects.get(customer_id=customer.stripe_id)


def buy(stripe: FakeStripe, user: User, quantity: int = 100) -> Payment:
    order = checkout.open_credits(user, quantity)
    stripe.pay(order.stripe_id)
    stripe.settled()
    return Payment.objects.get(object_id=order.stripe_id)


def page_of(row: Any, name: str = "change") -> str:
    meta = row._meta
    return f"/admin/{meta.app_label}/{meta.model_name}/{row.pk}/{name}/"


def fill(client: Client, path: str, **typed: Any) -> dict[str, Any]:
    """What a browser would send of a form, with the token of its page."""
    return {"token": token_on(client, path), "reason": "They asked."} | typed


def do(client: Client, path: str, **typed: Any) -> str:
    """Fill the form and confirm it; answers the text of the page that follows."""
    sent = fill(client, path, **typed)
    asked = client.post(path, sent | {"check": "yes"})
    assert asked.context["ready"], asked.context["form"].errors
    done = client.post(path, sent | {"confirmed": "yes"}, follow=True)
    assert done.redirect_chain, done.context["form"].errors
    return done.content.decode()


def clerk(*models: str) -> Client:
    """A member of staff who may view these models (``"billing.payment"``) and nothing else."""
    somebody = User.objects.create_user("clerk@example.com", is_staff=True)
    for label in models:
        kind = ContentType.objects.get_for_model(apps.get_model(label))
        # Test databases have dj-stripe's tables without its migrations, which make these.
        permission, _ = Permission.objects.get_or_create(
            content_type=kind, codename=f"view_{kind.model}", defaults={"name": label}
        )
        somebody.user_permissions.add(permission)
    client = Client()
    client.force_login(somebody)
    return client
