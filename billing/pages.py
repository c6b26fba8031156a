"""The account's billing page under ``/dashboard/``, and what its forms do.

Each form calls the verb that the API's address of the same name calls, and works without a script:
what goes wrong is said on the page, beside what was typed. ``static/live.js`` and
``static/price.js`` make it quicker.
"""

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode, urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.csp import payment_origins
from accounts.models import User
from billing import checkout, limits, portal, returns, top_up_parts, topup
from billing.errors import AlreadySubscribed
from billing.page_parts import parts
from billing.wording import whole
from common.errors import FareboxError

Page = Callable[[HttpRequest, User], HttpResponse]


def form(page: Page) -> Callable[..., HttpResponse]:
    """A view that a form of the billing page posts to. Whoever comes otherwise (from a sign-in that
    was asked for in between) is sent to the page; a ``FareboxError`` is shown on it."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @never_cache
    @login_required
    @wraps(page)
    def view(request: HttpRequest) -> HttpResponse:
        user = user_of(request)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("billing"))
        try:
            return page(request, user)
        except FareboxError as error:
            return show(request, user, error)

    return view


def user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the page lets nobody else in"
    return request.user


@require_safe
@never_cache
@login_required
def billing(request: HttpRequest) -> HttpResponse:
    """Plan, balance, what can be bought, invoices. ``?paid=`` names what Checkout returned from."""
    return show(request, user_of(request))


def show(request: HttpRequest, user: User, error: FareboxError | None = None) -> HttpResponse:
    """The page; after an ``error`` with its status, and with what was typed."""
    context = parts(request, user, error)
    status = error.status if error else 200
    response = render(request, "billing/billing.html", context, status=status)
    for name, value in (error.headers if error else {}).items():
        response.headers[name] = value
    return response


@form
def subscribe(request: HttpRequest, user: User) -> HttpResponse:
    limits.count_question(user)
    try:
        order = checkout.open_plan(user, checkout.plan_named(request.POST.get("plan", "")))
    except AlreadySubscribed:
        return leave_for(request, portal.open_portal(user))
    return leave_for(request, order.url)


@form
def buy_credits(request: HttpRequest, user: User) -> HttpResponse:
    """To the payment page; with ``do=show`` the price first, for who has no script."""
    quantity = whole(request.POST.get("quantity", ""), "quantity")
    if request.POST.get("do") == "show":
        query = urlencode({"quantity": quantity})
        return HttpResponseRedirect(f"{reverse('billing')}?{query}#credits")
    limits.count_question(user)
    return leave_for(request, checkout.open_credits(user, quantity).url)


@form
def manage(request: HttpRequest, user: User) -> HttpResponse:
    """To the customer portal: subscription, card and invoices."""
    limits.count_question(user)
    return leave_for(request, portal.open_portal(user))


@form
def top_up(request: HttpRequest, user: User) -> HttpResponse:
    messages.success(request, top_up_parts.save(user, request.POST))
    return HttpResponseRedirect(reverse("billing") + "#top-up")


@form
def low_mail(request: HttpRequest, user: User) -> HttpResponse:
    """Whether to be told by e-mail that the balance is low."""
    topup.want_mail(user, "low_mail" in request.POST)
    messages.success(request, "Saved.")
    return HttpResponseRedirect(reverse("billing") + "#top-up")


@form
def confirm(request: HttpRequest, user: User) -> HttpResponse:
    """Have Stripe asked about what was paid, since its own message may be lost."""
    reference = request.POST.get("paid", "")
    order = returns.order_of(user, reference)
    quiet = "json" in request.headers.get("accept", "")
    try:
        if order is not None:
            limits.count_question(user)
            returns.ask(order)
    except FareboxError as error:
        if quiet:
            return JsonResponse({}, status=error.status)
        # Its own message is for who is about to pay.
        messages.warning(
            request,
            "Stripe can't be asked now. If you paid, nothing is lost: it arrives by itself.",
        )
    if quiet:
        return JsonResponse({})
    query = f"?{urlencode({'paid': reference})}" if order is not None else ""
    return HttpResponseRedirect(reverse("billing") + query)


def leave_for(request: HttpRequest, url: str) -> HttpResponse:
    """On to a page of Stripe's, or to one of our own that stands for it.

    Browsers refuse a form that ends at an address which the page's policy does not name, and an
    operator may have a domain of their own for Checkout: a page leads on to such a one.
    """
    target, public = urlsplit(url), urlsplit(settings.PUBLIC_URL)
    if target[:2] == public[:2]:
        # At the host that the browser knows us by.
        return HttpResponseRedirect(urlunsplit(("", "", target.path, target.query, "")))
    if f"{target.scheme}://{target.netloc}" in payment_origins():
        return HttpResponseRedirect(url)
    return render(request, "billing/go.html", {"url": url})
