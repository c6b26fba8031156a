"""The pages of billing under ``/dashboard/``."""

from django.urls import URLPattern, path

from billing import demo_pages, pages

urlpatterns: list[URLPattern] = [
    path("billing/", pages.billing, name="billing"),
    path("billing/subscribe/", pages.subscribe, name="billing-subscribe"),
    path("billing/credits/", pages.buy_credits, name="billing-credits"),
    path("billing/top-up/", pages.top_up, name="billing-top-up"),
    path("billing/low-mail/", pages.low_mail, name="billing-low-mail"),
    path("billing/portal/", pages.manage, name="billing-portal"),
    path("billing/confirm/", pages.confirm, name="billing-confirm"),
    path("billing/demo/", demo_pages.subscription, name="billing-demo"),
    path("checkout/<uuid:order_id>/", demo_pages.pay, name="billing-checkout"),
]
