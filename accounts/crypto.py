"""Secrets that must be read again (second factors, signing keys) are encrypted at rest.

With Fernet, under keys derived from ``SECRET_KEY``; ``SECRET_KEY_FALLBACKS`` still open what was
encrypted under an earlier one.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


def encrypt(text: str) -> str:
    """Encrypt for storage."""
    return _fernet().encrypt(text.encode()).decode()


def decrypt(stored: str) -> str:
    """Undo ``encrypt``. Raises ``Unreadable`` when no present ``SECRET_KEY`` opens it."""
    try:
        return _fernet().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise Unreadable(
            "A stored secret was encrypted under another SECRET_KEY; "
            "add that one to SECRET_KEY_FALLBACKS."
        ) from None


class Unreadable(Exception):
    """What is stored was encrypted under a key that is gone."""


def _fernet() -> MultiFernet:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(secret)) for secret in secrets])


def _derived(secret: str) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"farebox stored secrets")
    return base64.urlsafe_b64encode(kdf.derive(secret.encode()))
