"""The format of an API key: pure functions, no database.

``fb_`` + 40 base62 characters of randomness (238 bits) + 6 base62 characters of CRC-32, the way
GitHub's tokens carry theirs: a scanner, or we, can tell a mistyped key without a look-up. The
checksum keeps nobody out; the randomness does. Only the SHA-256 of the whole key is stored.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "fb_"
RANDOM_LENGTH = 40
CHECKSUM_LENGTH = 6
LENGTH = len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH
SHOWN_LENGTH = len(PREFIX) + 6  # of what people tell their keys apart by
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def checksum(body: str) -> str:
    """CRC-32 of ``body`` in base62, padded with zeros to six characters."""
    value = zlib.crc32(body.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, 62)
        digits = ALPHABET[digit] + digits
    return digits


def new_key() -> str:
    """A fresh key from the operating system's randomness."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return PREFIX + body + checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether ``key`` has the right prefix, length and checksum. Says nothing of its validity."""
    if len(key) != LENGTH or not key.startswith(PREFIX) or not key.isascii():
        return False
    body, check = key[len(PREFIX) : -CHECKSUM_LENGTH], key[-CHECKSUM_LENGTH:]
    return checksum(body) == check


def shown_part(key: str) -> str:
    """How a key begins, by which people tell theirs apart."""
    return key[:SHOWN_LENGTH]


def digest(key: str) -> bytes:
    """The SHA-256 of a key: 32 bytes, what the database keeps of it."""
    return hashlib.sha256(key.encode()).digest()
