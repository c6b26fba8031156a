"""Where Stripe tells of events: ``POST /stripe/webhook/<uuid>/``.

dj-stripe's view is not used: it stores what it has not verified, takes a secret from the sender
while ``DEBUG`` is on, and handles events in a transaction that waits for Stripe. Its
``WebhookEndpoint`` rows are: they hold each address's secret.

Answers 200 once an event was applied, or is none of ours; anything else makes Stripe send it
again, for three days. Nothing of a body is kept or logged before its signature is verified.
"""

import json
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import stripe
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from djstripe.models import WebhookEndpoint

from billing import events
from common.drf import answer, translate
from common.errors import BadInput, FareboxError, MethodRefused, NotFound, TooLarge

log = structlog.get_logger(__name__)

MOST_BYTES = 256 * 1024  # Stripe's largest events are some tens of kilobytes
TOLERANCE = 300  # seconds, as Stripe's own libraries have it; into the future, too
_SIGNED_AT = re.compile(r"(?:^|,)\s*t=([0-9]{1,12})(?=,|$)")


@csrf_exempt
def receive(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Take one event. The sender is who knows the secret, so neither session nor CSRF matter."""
    try:
        event = _verified(request, uuid)
    except FareboxError as error:
        return answer(error)
    try:
        applied = events.apply(event)
    except Exception as error:
        return _failed(event, error)
    log.info("webhook", event_type=event["type"], event_id=event["id"], applied=applied)
    return HttpResponse(status=200)


def _failed(event: Mapping[str, Any], error: Exception) -> HttpResponse:
    """Nothing counts as applied; Stripe sends it again."""
    known = translate(error)
    if known is None:
        log.exception("an event could not be applied", event_type=event["type"],
                      event_id=event["id"])  # fmt: skip
    else:
        log.warning("an event could not be applied", event_type=event["type"],
                    event_id=event["id"], error=type(error).__name__)  # fmt: skip
    if known is None or known.status < 500:
        known = FareboxError("The event could not be applied. It has been noted.")
    return answer(known)


def _verified(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """The event of a request. Raises what the sender is to be answered."""
    if request.method != "POST":
        raise MethodRefused("Events are posted here.", allow="POST")
    endpoints = WebhookEndpoint.objects.filter(djstripe_uuid=uuid)
    secret = endpoints.values_list("secret", flat=True).first()
    if secret is None:
        raise NotFound("There is no such webhook endpoint.")
    if not secret:
        log.error("a webhook endpoint has no secret: run sync_plans", endpoint=str(uuid))
        raise BadInput("This webhook endpoint has no secret, so no event can be verified.")
    body = _body(request)
    _verify(body, request.headers.get("Stripe-Signature", ""), secret)
    return _event(body)


def _body(request: HttpRequest) -> bytes:
    """At most ``MOST_BYTES``, whatever length is declared."""
    too_large = TooLarge(f"The event is larger than {MOST_BYTES} bytes.")
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not re.fullmatch(r"[0-9]{1,18}", declared) or int(declared) > MOST_BYTES:
        raise too_large
    body: bytes = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise too_large
    return body


def _verify(body: bytes, header: str, secret: str) -> None:
    """Raises ``BadInput`` unless Stripe signed these very bytes within ``TOLERANCE`` of now."""
    refused = BadInput("The signature is not valid.", param="Stripe-Signature")
    times = _SIGNED_AT.findall(header)
    # stripe-python reads the first of several times, and lets those of the future pass.
    if len(times) != 1 or abs(time.time() - int(times[0])) > TOLERANCE:
        log.warning("a webhook is refused", because="no time, or not a time near now")
        raise refused
    try:
        stripe.WebhookSignature.verify_header(body, header, secret, TOLERANCE)
    except (stripe.SignatureVerificationError, ValueError):  # the latter: bytes that are no text
        log.warning("a webhook is refused", because="not signed with the endpoint's secret")
        raise refused from None


def _event(body: bytes) -> dict[str, Any]:
    refused = BadInput("The body is not an event of Stripe's.")
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise refused from None
    if not _is_event(event):
        raise refused
    if bool(event.get("livemode")) != settings.STRIPE_LIVE_MODE:
        log.warning("a webhook is refused", because="livemode is not that of our key")
        raise BadInput("The event is not of the mode of this deployment's key.", param="livemode")
    return dict(event)


def _is_event(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    data = event.get("data")
    about = data.get("object") if isinstance(data, dict) else None
    return (
        isinstance(event.get("id"), str)
        and isinstance(event.get("type"), str)
        and isinstance(about, dict)
        and isinstance(about.get("id", ""), str)
    )
