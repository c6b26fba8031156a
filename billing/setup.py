"""What ``sync_plans`` sets up at Stripe besides plans: the customer portal and the webhook."""

import hashlib
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import stripe
from django.conf import settings
from djstripe.models import WebhookEndpoint

from billing.catalog import Json
from billing.errors import StripeRefused
from billing.events import LOOKS
from billing.gateway.client import api, asking
from billing.gateway.mirror import absent
from billing.models import Plan, PlanPrice, Setup

PORTAL = "portal"
MOST_PRODUCTS = 10  # that a portal configuration can list
_PRINT = "farebox_print"
_FOR = "farebox_for"

EVENTS = sorted(LOOKS)  # what the receivers look at
Say = Callable[[str], None]


def portal_configuration() -> str | None:
    """Stripe's id of the portal's configuration, if ``sync_plans`` has made it."""
    return Setup.objects.filter(name=PORTAL).values_list("stripe_id", flat=True).first()


def sync_portal(say: Say, *, dry_run: bool) -> None:
    """Make the portal offer what is sold: a dearer plan at once, with an invoice of the difference;
    a cheaper one, or none, from the end of the period that is paid for."""
    wanted = _portal()
    mark = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:32]
    told: Any = {**wanted, "metadata": {_FOR: settings.PUBLIC_URL, _PRINT: mark}}
    found = _found_portal()
    would = "would be " if dry_run else ""
    if found and found["metadata"].get(_PRINT) == mark and found["active"]:
        say(f"portal: configuration {found['id']} is up to date")
    elif found:
        say(f"portal: configuration {found['id']} {would}updated")
        if not dry_run:
            with asking("update the portal's configuration"):
                api().v1.billing_portal.configurations.update(found["id"], {**told, "active": True})
    else:
        say(f"portal: configuration {would}created")
        if not dry_run:
            with asking("create the portal's configuration"):
                found = api().v1.billing_portal.configurations.create(told).to_dict()
    if (sold := Plan.objects.filter(for_sale=True, price__isnull=False).count()) > MOST_PRODUCTS:
        say(f"portal: lists the {MOST_PRODUCTS} cheapest of {sold} plans; Stripe takes no more")
    if found and not dry_run:
        Setup.objects.update_or_create(name=PORTAL, defaults={"stripe_id": found["id"]})


def _found_portal() -> Json | None:
    """Ours, by the id we kept; else by what it says in its metadata, for a run that broke off."""
    configurations = api().v1.billing_portal.configurations
    if known := portal_configuration():
        try:
            with asking("retrieve the portal's configuration"):
                return configurations.retrieve(known).to_dict()
        except StripeRefused as error:
            if not absent(error):
                raise
    with asking("list the portal's configurations"):
        for one in configurations.list({"active": True, "limit": 100}).auto_paging_iter():
            found: Json = one.to_dict()
            if (found["metadata"] or {}).get(_FOR) == settings.PUBLIC_URL:
                return found
    return None


def _portal() -> Json:
    prices = PlanPrice.objects.filter(active=True, currency=settings.CURRENCY, plan__for_sale=True)
    products = [
        {"product": price.plan.stripe_product, "prices": [price.stripe_id]}
        for price in prices.select_related("plan").order_by("amount", "id")[:MOST_PRODUCTS]
    ]
    change: Json = {"enabled": False}
    if products:
        change = {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "products": products,
            "proration_behavior": "always_invoice",
            "schedule_at_period_end": {"conditions": [{"type": "decreasing_item_amount"}]},
        }
    return {
        "business_profile": {"headline": f"{settings.SITE_NAME}: your plan and invoices"[:60]},
        "default_return_url": f"{settings.PUBLIC_URL}/dashboard/billing/",
        "features": {
            "customer_update": {
                "enabled": True,
                "allowed_updates": ["name", "address", "tax_id"],  # the e-mail is the account's
            },
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True},
            "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
            "subscription_update": change,
        },
    }


def sync_webhook(say: Say, *, dry_run: bool) -> None:
    """Have Stripe tell us what happens, signed with a secret that it says once: at the making.

    An endpoint whose secret we don't have is of no use, and is made anew.
    """
    if not settings.PUBLIC_URL.startswith("https://") and not _is_elsewhere():
        say(
            f"webhook: none, since Stripe can't reach {settings.PUBLIC_URL}; set PUBLIC_URL to an "
            "https address (the catch-up task finds what was paid within the hour)"
        )
        return
    found = _our_endpoints()
    would = "would be " if dry_run else ""
    row = _usable(found)
    if not dry_run:  # rows, and secrets, of endpoints that Stripe does not have any more
        WebhookEndpoint.objects.exclude(id__in=found).delete()
    for id in found:
        if row is None or id != row.id:
            say(f"webhook: endpoint {id} {would}deleted (its secret is not known here)")
            if not dry_run:
                _delete(id)
    if row is None:
        say(f"webhook: endpoint for {len(EVENTS)} kinds of events {would}created")
        if not dry_run:
            _create(say)
        return
    now = found[row.id]
    if now["url"] == _address(row) and set(now["enabled_events"]) == set(EVENTS) and (
        now["status"] == "enabled"
    ):  # fmt: skip
        say(f"webhook: endpoint {row.id} is up to date")
        return
    say(f"webhook: endpoint {row.id} {would}updated")
    wanted: Any = {"url": _address(row), "enabled_events": EVENTS, "disabled": False}
    if not dry_run:
        with asking("update the webhook's endpoint"):
            changed = api().v1.webhook_endpoints.update(row.id, wanted)
        _write(row, changed.to_dict())


def _is_elsewhere() -> bool:
    """Whether another server stands in for Stripe, which reaches plain http on loopback."""
    return bool(getattr(settings, "STRIPE_API_HOST", ""))


def _address(row: WebhookEndpoint) -> str:
    return f"{settings.PUBLIC_URL}/stripe/webhook/{row.djstripe_uuid}/"


def _our_endpoints() -> dict[str, Json]:
    """Those that have a row here, and those that lead here and have none."""
    known = set(WebhookEndpoint.objects.values_list("id", flat=True))
    here = f"{settings.PUBLIC_URL}/stripe/webhook/"
    with asking("list webhook endpoints"):
        pages = api().v1.webhook_endpoints.list({"limit": 100}).auto_paging_iter()
        found = [one.to_dict() for one in pages]
    return {one["id"]: one for one in found if one["id"] in known or one["url"].startswith(here)}


def _usable(found: dict[str, Json]) -> WebhookEndpoint | None:
    """Of what Stripe has, the endpoint that we can check signatures of; the newest of several."""
    rows = WebhookEndpoint.objects.filter(id__in=found).exclude(secret="")
    return rows.order_by("-djstripe_id").first()


def _delete(id: str) -> None:
    with asking("delete a webhook endpoint"):
        try:
            api().v1.webhook_endpoints.delete(id)
        except stripe.InvalidRequestError as error:
            if not absent(error):
                raise
    WebhookEndpoint.objects.filter(id=id).delete()


def _create(say: Say) -> None:
    row = WebhookEndpoint(djstripe_uuid=uuid4())
    with asking("create a webhook endpoint"):
        made = api().v1.webhook_endpoints.create(
            {
                "url": _address(row),
                "enabled_events": EVENTS,  # type: ignore[typeddict-item]
                "api_version": settings.STRIPE_API_VERSION,  # type: ignore[typeddict-item]
                "description": f"{settings.SITE_NAME}: payments",
            }
        )
    row.secret = made.secret or ""
    _write(row, made.to_dict())
    say(f"webhook: endpoint {row.id} leads to {row.url}")


def _write(row: WebhookEndpoint, data: Json) -> None:
    row.id, row.url, row.status = data["id"], data["url"], data["status"]
    row.livemode = data["livemode"]
    row.enabled_events = data["enabled_events"]
    row.api_version = data.get("api_version") or settings.STRIPE_API_VERSION
    row.stripe_data = {name: value for name, value in data.items() if name != "secret"}
    row.save()
