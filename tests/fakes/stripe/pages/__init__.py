"""What a person sees of Stripe: Checkout, the customer portal, invoices, 3-D Secure, an index.

The pages call what the API and the controls call, so no rule is here.
"""

from __future__ import annotations

from aiohttp import web

from ..store import Store
from . import authenticate, checkout, index, invoices, portal
from .serving import get, post


def routes(store: Store) -> list[web.RouteDef]:
    """The routes of every page."""
    return [
        get("/", store, index.show),
        post("/clock", store, index.turn),
        post("/charges/{id}", store, index.act_on_charge),
        post("/disputes/{id}", store, index.close_dispute),
        post("/delayed/{id}", store, index.end_delayed),
        get("/c/pay/{id}", store, checkout.show),
        post("/c/pay/{id}", store, checkout.act),
        get("/p/session/{id}", store, portal.show),
        post("/p/session/{id}", store, portal.act),
        get("/i/{id}", store, invoices.show),
        post("/i/{id}", store, invoices.act),
        get("/i/{id}/pdf", store, invoices.printed),
        get("/authenticate/{id}", store, authenticate.show),
        post("/authenticate/{id}", store, authenticate.act),
        get("/receipt/{id}", store, invoices.receipt),
    ]
