"""Buying: a plan or credits, on a page of Stripe's, or of our own in the demo mode.

An order is written first, at the price of the server; then Stripe is asked for a page with the
order's id as idempotency key. So whatever breaks in between, trying again leads to the same page,
and nothing is granted before Stripe says what was paid (``billing.payments``).

One Checkout page for a plan is open at a time: the same again while it is good, another plan's
replaces it. Whoever has a subscription gets none beside it.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.models import User
from billing import demo, orders, pricing, trials
from billing.catalog import is_sold, price_of
from billing.customers import for_customer, is_missing, require_buyer
from billing.errors import AlreadySubscribed, StripeRefused, StripeUnavailable
from billing.gateway.client import api, asking
from billing.gateway.mirror import absent, fetch
from billing.models import Order, Plan, PlanPrice
from billing.owners import ORDER
from billing.subscriptions import at_stripe, is_live
from common.errors import BadInput

# Stripe repeats what it answered to a key for a day. An order that never got a page by then is
# given up, so that no second page can come of it.
REPEATABLE = timedelta(hours=20)
TRIES = 5
SUBSCRIBED = "You have a plan already; change it on the billing page, it is not bought twice."
Json = dict[str, Any]


def plan_named(slug: str) -> Plan:
    """The plan for sale of that name. Raises ``BadInput`` (``param`` plan)."""
    # What PostgreSQL can't be asked for is no plan's name.
    plan = None if "\0" in slug else Plan.objects.filter(slug=slug).first()
    if plan is None or not is_sold(plan):
        raise BadInput(
            "plan: there is none of that name for sale; GET /api/plans lists them.", param="plan"
        )
    return plan


def open_plan(user: User, plan: Plan, key: str = "") -> Order:
    """An order of a plan, with the ``url`` where it is paid.

    ``key`` is the caller's Idempotency-Key. Raises ``AlreadySubscribed``, ``PermissionRefused``
    (who can't buy), ``BadInput`` (the plan is not for sale), ``IdempotencyConflict``,
    ``Unavailable`` (Stripe does not have the price yet), ``StripeUnavailable`` and
    ``StripeRefused``.
    """
    require_buyer(user)
    plan_named(plan.slug)
    if (earlier := orders.placed(user, key, plan=plan)) and earlier.url:
        return earlier
    if not settings.ENABLE_PAYMENTS:
        if demo.is_subscribed(user):
            raise AlreadySubscribed(SUBSCRIBED)
        return _order_of_plan(user, plan, plan.price or 0, settings.CURRENCY, key)
    price = price_of(plan)
    return for_customer(user, lambda customer: _subscribe(user, customer, price, key))


def _subscribe(user: User, customer: str, price: PlanPrice, key: str) -> Order:
    had = at_stripe(customer)
    if any(is_live(one) for one in had):
        raise AlreadySubscribed(SUBSCRIBED)
    order = _order_of_plan(user, price.plan, price.amount, price.currency, key)
    if order.url:
        return order
    about = _about(order)
    wanted: Json = {
        "mode": "subscription",
        "line_items": [{"price": price.stripe_id, "quantity": 1}],
        "subscription_data": {"metadata": about},
    }
    if price.plan.trial_days and not had and not trials.had(user):
        wanted["subscription_data"]["trial_period_days"] = price.plan.trial_days
    return _ask_for_page(order, customer, wanted)


def open_credits(user: User, quantity: int, key: str = "") -> Order:
    """An order of ``quantity`` whole credits, with the ``url`` where it is paid.

    Raises as ``open_plan`` does, and ``BadInput`` (``param`` quantity) for a number out of bounds.
    """
    require_buyer(user)
    order = orders.placed(user, key, quantity=quantity)
    if order is None:
        price = pricing.quote(quantity)
        order = orders.place(
            user=user, quantity=quantity, amount=price.amount, currency=price.currency, key=key
        ) or orders.placed(user, key, quantity=quantity)
    assert order is not None, "a key that is taken has its order"
    if order.url:
        return order
    kept = order
    return for_customer(user, lambda customer: _ask_for_page(kept, customer, _credits(kept)))


def _credits(order: Order) -> Json:
    """One line of the whole amount: a unit's price would have to be rounded."""
    name = f"{order.quantity:,} {settings.CREDIT_NAME}"
    return {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": order.currency,
                    "unit_amount": order.amount,
                    "product_data": {"name": name},
                },
            }
        ],
        "payment_intent_data": {
            "description": f"{settings.SITE_NAME}: {name}",
            "metadata": _about(order),
            "setup_future_usage": "off_session",  # automatic top-up may use the card
        },
    }


def _about(order: Order) -> dict[str, str]:
    """The metadata by which what Stripe has leads back here."""
    about = {ORDER: str(order.pk), "farebox_user": str(order.user_id)}
    return about | ({"farebox_plan": order.plan.slug} if order.plan else {})


def _ask_for_page(order: Order, customer: str, wanted: Json) -> Order:
    back = f"{settings.PUBLIC_URL}/dashboard/billing/"
    wanted = wanted | {
        "customer": customer,
        "client_reference_id": str(order.pk),
        "metadata": _about(order),
        "success_url": back + "?paid={CHECKOUT_SESSION_ID}",
        "cancel_url": back,
    }
    if settings.STRIPE_PROMOTION_CODES:
        wanted["allow_promotion_codes"] = True
    if settings.STRIPE_AUTOMATIC_TAX:
        # The address that the tax goes by is asked for on the page, and kept with the customer.
        wanted |= {"automatic_tax": {"enabled": True}, "tax_id_collection": {"enabled": True}}
        wanted["customer_update"] = {"address": "auto", "name": "auto"}
    try:
        with asking("open a checkout"):
            session = api().v1.checkout.sessions.create(
                wanted,  # type: ignore[arg-type]
                {"idempotency_key": f"order:{order.pk}:{customer}"},
            )
    except StripeRefused as error:
        if not is_missing(error):
            orders.end(order, Order.State.FAILED, "Stripe refused to open a Checkout page.")
        raise
    if not orders.opened(order, session.id, session.url or ""):
        with asking("expire a checkout"):
            api().v1.checkout.sessions.expire(session.id)
        raise StripeUnavailable("Another order was made at the same moment. Try again.")
    return order


def _order_of_plan(user: User, plan: Plan, amount: int, currency: str, key: str) -> Order:
    """The user's one open order of a plan, made to be this one. Any other is ended, at Stripe
    first; if Stripe can't be reached, nothing has changed and the next try goes on from there."""
    for _ in range(TRIES):
        order = orders.open_plan_order(user)
        if order is None:
            order = orders.place(user=user, plan=plan, amount=amount, currency=currency, key=key)
            if order is not None:
                return order
            if (earlier := orders.placed(user, key, plan=plan)) and earlier.url:
                return earlier
            continue
        wanted = (plan.pk, amount, currency, not settings.ENABLE_PAYMENTS)
        same = (order.plan_id, order.amount, order.currency, order.demo) == wanted
        if same and _is_good(order):
            return order
        _close(order)
    raise StripeUnavailable("Several orders were made at once. Try again in a moment.")


def _is_good(order: Order) -> bool:
    """Whether it can still be paid, or still be given a page."""
    if order.demo:
        return True
    if not order.stripe_id:
        return order.created > timezone.now() - REPEATABLE
    return _session(order)["status"] == "open"


def _close(order: Order) -> None:
    """End an open order for good, so that another can be made."""
    status = "expired"
    if order.stripe_id and settings.ENABLE_PAYMENTS:
        status = _session(order)["status"]
        if status == "open":
            status = _expire(order)
    if status == "open":
        raise StripeUnavailable("An earlier Checkout page can't be closed now. Try again shortly.")
    # A complete one is for billing.payments to look at; the money may be on its way.
    orders.end(order, Order.State.PENDING if status == "complete" else Order.State.EXPIRED)


def _expire(order: Order) -> str:
    """Answers what the session's status is then: it may have been paid at this moment."""
    try:
        with asking("expire a checkout"):
            api().v1.checkout.sessions.expire(order.stripe_id or "")
    except StripeRefused:
        return str(_session(order)["status"])
    return "expired"


def _session(order: Order) -> Json:
    try:
        return fetch("checkout.session", order.stripe_id or "")
    except StripeRefused as error:
        if absent(error):  # the deployment had another account of Stripe's then
            return {"status": "expired"}
        raise
