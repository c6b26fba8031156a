"""How a user stands with money, in the words of their page."""

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from djstripe.models import Subscription

from accounts.models import User
from billing.admin.shown import LINK, told
from billing.following import LIVE
from billing.models import Customer, DemoSubscription, Payment, PlanPrice, TopUp
from common.admin import link_to
from common.money import format_credits, format_money

FEW = 5


def subscriptions(user: User) -> str:
    """Those at Stripe that are live, and the last that ended; the demo mode's."""
    found = [link_to(demo) for demo in DemoSubscription.objects.filter(user=user, ended_at=None)]
    customer = Customer.objects.filter(user=user).first()
    rows = Subscription.objects.none()
    if customer is not None:
        rows = Subscription.objects.filter(customer_id=customer.stripe_id).order_by("-djstripe_id")
    live = [row for row in rows if told(row, "status") in LIVE]
    for row in live or list(rows[:1]):
        price = PlanPrice.objects.filter(stripe_id=told(row, "items.data.0.price.id")).first()
        state = str(told(row, "status")).replace("_", " ")
        if told(row, "cancel_at_period_end") or told(row, "cancel_at"):
            state += ", canceled"
        found.append(link_to(row, f"{price.plan if price else row.id} ({state})"))
    return format_html_join(" · ", "{}", ((one,) for one in found)) or "none"


def paid(user: User) -> str:
    """The last few payments."""
    rows = Payment.objects.filter(user=user)[: FEW + 1]
    if not rows:
        return "nothing yet"
    lines = [
        link_to(row, f"{row.created:%Y-%m-%d} {format_money(row.paid, row.currency)}")
        for row in rows[:FEW]
    ]
    if len(rows) > FEW:
        every = f"{reverse('admin:billing_payment_changelist')}?{urlencode({'q': user.email})}"
        lines.append(format_html('<a class="{}" href="{}">all</a>', LINK, every))
    return format_html_join(" · ", "{}", ((line,) for line in lines))


def top_up(user: User) -> str:
    own = TopUp.objects.filter(user=user).first()
    if own is None or not own.enabled:
        return "off"
    said = (
        f"{own.quantity:,} credits below {format_credits(own.threshold)}, at most "
        f"{own.monthly_cap:,} a month"
    )
    if own.failures:
        again = f", again from {own.next_try_at:%Y-%m-%d %H:%M}" if own.next_try_at else ""
        said += f"; failed {own.failures} times ({own.failure or 'no reason given'}{again})"
    return format_html("{}", link_to(own, said))


def frozen(user: User, owed: int) -> str:
    """Why a wallet is frozen, and what settles it. The ledger has no verb that forgives: credits
    that come in pay what is owed first, a gift too, and the books show who gave it."""
    undone = Payment.objects.filter(user=user, revoked__gt=0)[:FEW]
    causes = format_html_join(
        ", ", "{}", ((link_to(row, format_money(row.paid, row.currency)),) for row in undone)
    )
    return format_html(
        '<p class="mt-2 text-red-700 dark:text-red-400">Frozen: <code>{}</code> credits are owed. '
        "Payments that were refunded or disputed after their credits were spent: {}.</p>"
        '<p class="mt-1">It is settled by any credits that come in. To forgive it, grant as many '
        "as a promotion: they pay what is owed first.</p>",
        format_credits(owed),
        causes or "none known here",
    )
