"""The demo mode's pages, where Stripe's Checkout and customer portal would be."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import User
from billing import checkout, demo, subscriptions
from billing.models import DemoSubscription, Order
from billing.page_parts import common_parts, invoice_parts
from billing.pages import user_of
from billing.plan_offers import offers
from billing.returns import what_of
from common.errors import BadInput, FareboxError, NotFound


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def pay(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """An order's page: pay it for nothing, or see what a declined card does. Its owner's alone."""
    user = user_of(request)
    try:
        order = demo.order_of(order_id, user)
    except NotFound:
        raise Http404 from None
    back = f"{reverse('billing')}?paid={order.pk}"
    if order.state == Order.State.PAID:
        return HttpResponseRedirect(back)
    problem, status = "", 200
    if request.method == "POST":
        try:
            if request.POST.get("do") == "pay":
                demo.pay(order, user)
                return HttpResponseRedirect(back)
            demo.decline(order, user)
            problem, status = "The card was declined. Nothing was bought; try again.", 402
        except FareboxError as error:
            problem, status = error.message, error.status
    elif order.state != Order.State.OPEN:
        problem = "This order has ended; nothing was bought. Go back and make a new one."
    context = {
        "demo": True,
        "order": order,
        "open": order.state == Order.State.OPEN,
        "what": what_of(order),
        "trial": _trial(order, user),
        "error": problem,
    }
    return render(request, "billing/demo_checkout.html", context, status=status)


def _trial(order: Order, user: User) -> str:
    days = order.plan.trial_days if order.plan else 0
    if not days or DemoSubscription.objects.filter(user=user).exists():  # one trial each
        return ""
    return f"{days} {'day' if days == 1 else 'days'} free"


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def subscription(request: HttpRequest) -> HttpResponse:
    """The portal: cancel, resume, change the plan; what was paid."""
    if settings.ENABLE_PAYMENTS:
        raise Http404
    user = user_of(request)
    problem, status = "", 200
    if request.method == "POST":
        try:
            messages.success(request, _do(user, request.POST))
            return HttpResponseRedirect(reverse("billing-demo"))
        except FareboxError as error:
            problem, status = error.message, error.status
    context = common_parts(user, subscriptions.show(user))
    context |= invoice_parts(request, user) | {
        "error": problem,
        "others": [
            offer
            for offer in offers()
            if offer.price and offer.plan.slug != context["standing"].slug
        ],
    }
    return render(request, "billing/demo_portal.html", context, status=status)


def _do(user: User, said: Any) -> str:
    match said.get("do"):
        case "cancel":
            row = demo.cancel(user)
            return f"Canceled. {row.plan} is yours until {row.period_end:%Y-%m-%d}."
        case "resume":
            return f"{demo.resume(user).plan} goes on."
        case "keep":
            return f"{demo.keep_plan(user).plan} stays."
        case "change":
            row = demo.change_plan(user, checkout.plan_named(said.get("plan", "")))
            if row.next_plan is not None:
                return f"{row.next_plan} begins on {row.period_end:%Y-%m-%d}."
            return f"Your plan is {row.plan} now."
    raise BadInput("There is nothing of that name to do here.")
