from django.urls import path

from billing import topup_views
from billing.views import account, buying, plans

urlpatterns = [
    path("plans", plans.PlanList.as_view(), name="plans"),
    path("billing/subscription", account.Subscription.as_view(), name="subscription"),
    path("billing/invoices", account.InvoiceList.as_view(), name="invoices"),
    path("billing/checkout", buying.Checkout.as_view(), name="checkout"),
    path("billing/credits", buying.Credits.as_view(), name="credits"),
    path("billing/portal", buying.Portal.as_view(), name="portal"),
    path("billing/top-up", topup_views.TopUp.as_view(), name="top-up"),
]
