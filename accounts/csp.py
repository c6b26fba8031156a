"""What a page may load, run, and send to: its Content-Security-Policy.

Pages of ours run no script but files of ours, and no style written into the page. The admin
(django-unfold) and the API's description (Swagger) bring their own ways and get a policy of theirs;
JSON gets one that allows nothing.

``form-action`` is checked by browsers at each redirect that follows a form, too: a sign-in ends at
an extension's ``https://<id>.chromiumapp.org``, or begins by going to Google or GitHub, and whoever
buys something is sent to Stripe.
"""

import logging
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from allauth.idp.oidc.models import Client
from allauth.socialaccount import app_settings
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from accounts import extensions

logger = logging.getLogger(__name__)

NOTHING = "default-src 'none'; frame-ancestors 'none'"
_BASE = (
    "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "connect-src 'self'; font-src 'self'; img-src 'self' data:"
)
PAGE = f"{_BASE}; script-src 'self'; style-src 'self'"
DOCS = f"{_BASE}; form-action 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'"
# unfold's scripts are partly in the page, and Alpine evaluates its attributes.
ADMIN = (
    f"{_BASE}; form-action 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
)
CLIENTS_SECONDS = 60  # how long a client that an operator adds may take to be known here

_clients: tuple[float, list[str]] = (float("-inf"), [])


class ContentSecurityPolicy:
    """Middleware; an answer that has a policy keeps it."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if not (settings.DEBUG and response.status_code in {404, 500}):  # Django's own pages
            response.headers.setdefault("Content-Security-Policy", policy_of(request, response))
        return response


def policy_of(request: HttpRequest, response: HttpResponse) -> str:
    """The policy of one answer."""
    path = request.path_info
    if not response.headers.get("content-type", "").startswith("text/html"):
        # The description's script is an answer of a view; a script needs no policy of its own.
        return NOTHING
    if path.startswith("/admin/"):
        return ADMIN
    if path == "/api/docs":
        return DOCS
    targets = ["'self'"]
    if path.startswith(("/accounts/", "/identity/")):
        targets += [*_extensions(), *_providers(), *_other_clients()]
    elif path.startswith("/dashboard/"):
        targets += payment_origins()
    return f"{PAGE}; form-action {' '.join(dict.fromkeys(targets))}"


def payment_origins() -> list[str]:
    """Where Checkout and the customer portal are; none in the demo mode."""
    if not settings.ENABLE_PAYMENTS:
        return []
    if host := getattr(settings, "STRIPE_API_HOST", ""):
        return list(_sources([host]))
    return ["https://checkout.stripe.com", "https://billing.stripe.com"]


def _extensions() -> Iterable[str]:
    for extension in settings.EXTENSION_IDS:
        yield from _sources(extensions.redirects_of(extension))


def _providers() -> Iterable[str]:
    """Where a sign-in through Google or GitHub goes first."""
    known = app_settings.PROVIDERS
    if known.get("google", {}).get("APPS"):
        yield from _sources([known["google"].get("AUTHORIZE_URL", "https://accounts.google.com")])
    if known.get("github", {}).get("APPS"):
        yield from _sources([known["github"].get("GITHUB_URL", "https://github.com")])


def _other_clients() -> list[str]:
    """Redirects of the clients that an operator made in the admin, read once a minute."""
    global _clients
    read_at, found = _clients
    if time.monotonic() - read_at < CLIENTS_SECONDS:
        return found
    try:
        texts = Client.objects.exclude(data=extensions.MARK).values_list("redirect_uris", flat=True)
        found = list(_sources(word for text in texts for word in text.split()))
    except DatabaseError as error:
        logger.warning("clients are not read: %s", type(error).__name__)
    _clients = (time.monotonic(), found)
    return found


def _sources(addresses: Iterable[str]) -> Iterable[str]:
    """Addresses as a policy names them: an origin, or the scheme where it is a program's own."""
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme in {"http", "https"} and parts.netloc:
            yield f"{parts.scheme}://{parts.netloc}"
        elif parts.scheme:
            yield f"{parts.scheme}:"
