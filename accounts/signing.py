"""The keys that this deployment signs with: made when first needed, kept encrypted.

In the database rather than in the environment, so that every process of a deployment signs alike
and nobody has to make one.
"""

from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import connection, transaction

from accounts import crypto
from accounts.models import SigningKey

_LOCK = 0x6661_7265  # of no other use of advisory locks


@dataclass(frozen=True)
class PrivateKey:
    pem: str
    created_at: datetime


def private_keys(purpose: str) -> list[PrivateKey]:
    """The keys for ``purpose``, newest first; one is made where there is none that can be read."""
    return _readable(purpose) or _make(purpose)


def _readable(purpose: str) -> list[PrivateKey]:
    found = []
    for key in SigningKey.objects.filter(purpose=purpose).order_by("-id"):
        try:
            found.append(PrivateKey(crypto.decrypt(key.pem), key.created_at))
        except crypto.Unreadable:  # SECRET_KEY has changed: nothing can be signed with it now
            continue
    return found


def _make(purpose: str) -> list[PrivateKey]:
    """Under a lock, so that two processes at their first request make one key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if not (found := _readable(purpose)):
            SigningKey.objects.create(purpose=purpose, pem=crypto.encrypt(pem))
            found = _readable(purpose)
    return found
