"""A password's hash of the usual form that takes no quarter of a second of CPU."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own, but of few iterations."""

    iterations = 100


QUICK = [f"{__name__}.{QuickHasher.__name__}"]
