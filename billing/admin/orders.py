"""What people set out to buy, who they are at Stripe, and what is bought by itself; to read."""

from django.conf import settings
from django.contrib import admin
from unfold.decorators import display

from accounts.admin import SearchedByEmail
from billing.admin.shown import STATES, dashboard
from billing.models import Customer, DemoSubscription, Order, Payment, TopUp
from common.admin import ReadOnlyAdmin, credits, link_to, money


@admin.register(Order)
class OrderAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Purchases that were begun: kept with their price before Stripe is asked."""

    ordering = ("-pk",)
    list_display = ("created", "owner", "what", "amount_", "state_", "demo", "failure")
    list_select_related = ("user", "plan")
    list_filter = ("state", "kind", "demo")
    fields = (
        "id", "owner", "kind", "what", "amount_", "state_", "demo", "failure", "payments_",
        "stripe_id", "created", "ended",
    )  # fmt: skip
    readonly_fields = fields
    amount_ = money("amount", "price")

    @admin.display(description="what")
    def what(self, order: Order) -> str:
        return str(order.plan) if order.plan else f"{order.quantity:,} credits"

    @display(description="state", label=STATES)
    def state_(self, order: Order) -> str:
        return order.get_state_display()

    @admin.display(description="payment")
    def payments_(self, order: Order) -> str:
        return link_to(Payment.objects.filter(order=order).first())


@admin.register(Customer)
class CustomerAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Who is who at Stripe. Somebody who has left stands here until Stripe has deleted them."""

    ordering = ("-pk",)
    list_display = ("owner", "stripe_id", "state", "created")
    list_select_related = ("user",)
    list_filter = (("closing_at", admin.EmptyFieldListFilter),)
    fields = ("owner", "stripe_id", "state", "created", "closing_at", "dashboard")
    readonly_fields = fields

    @display(description="state", label={"open": "success", "to be deleted": "warning"})
    def state(self, customer: Customer) -> str:
        return "to be deleted" if customer.closing_at else "open"

    @admin.display(description="dashboard")
    def dashboard(self, customer: Customer) -> str:
        return dashboard("customers", customer.stripe_id, live=settings.STRIPE_LIVE_MODE)


@admin.register(TopUp)
class TopUpAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Whose wallet is filled by itself, from when on, and what went wrong with it."""

    ordering = ("-pk",)
    list_display = ("owner", "enabled", "threshold_", "quantity_", "cap", "failures", "next_try_at")
    list_select_related = ("user",)
    list_filter = ("enabled",)
    fields = (
        "owner", "enabled", "threshold_", "quantity_", "cap", "failures", "failure", "next_try_at",
        "updated_at",
    )  # fmt: skip
    readonly_fields = fields
    threshold_ = credits("threshold", "below, credits")

    @admin.display(description="buys")
    def quantity_(self, top_up: TopUp) -> str:
        return f"{top_up.quantity:,} credits"

    @admin.display(description="at most a month")
    def cap(self, top_up: TopUp) -> str:
        return f"{top_up.monthly_cap:,} credits"


@admin.register(DemoSubscription)
class DemoSubscriptionAdmin(SearchedByEmail, ReadOnlyAdmin):
    """Subscriptions of the demo mode: nothing is paid for them."""

    ordering = ("-pk",)
    list_display = ("owner", "plan", "state", "amount_", "period_end", "created")
    list_select_related = ("user", "plan")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "plan")
    fields = (
        "owner", "plan", "state", "amount_", "period_start", "period_end", "trial_end", "next_plan",
        "order_", "ended_at", "created",
    )  # fmt: skip
    readonly_fields = fields
    amount_ = money("amount", "a month")

    @display(description="state", label={"demo": "info", "ending (demo)": "warning",
                                         "ended (demo)": "danger"})  # fmt: skip
    def state(self, demo: DemoSubscription) -> str:
        if demo.ended_at:
            return "ended (demo)"
        return "ending (demo)" if demo.cancel_at_period_end else "demo"

    @admin.display(description="order")
    def order_(self, demo: DemoSubscription) -> str:
        return link_to(demo.order)
