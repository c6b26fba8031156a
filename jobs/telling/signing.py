"""A user's secret for webhooks, and the signature made with it, after Standard Webhooks 1.0."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from accounts import crypto
from accounts.models import User
from jobs.models import WebhookSecret

PREFIX = "whsec_"


def secret_of(user: User) -> str:
    """The user's secret, made on first use. Raises ``crypto.Unreadable``."""
    kept, _ = WebhookSecret.objects.get_or_create(user=user, defaults={"sealed": _new()})
    return crypto.decrypt(kept.sealed)


def renew(user: User) -> str:
    """Another secret from now on; what waits to be sent is signed with it, too."""
    kept, _ = WebhookSecret.objects.update_or_create(user=user, defaults={"sealed": _new()})
    return crypto.decrypt(kept.sealed)


def headers(secret: str, message: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """What tells the receiver that this is from here, and was not sent before."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


def _new() -> str:
    return crypto.encrypt(PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())
