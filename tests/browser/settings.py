"""The deployment's settings, as the processes of the browser's tests have them: only that a
password's hash takes no quarter of a second of CPU at each sign-in."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from config import settings as deployed

globals().update({name: value for name, value in vars(deployed).items() if name.isupper()})


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own, of the same form, but of few iterations."""

    iterations = 100


PASSWORD_HASHERS = [f"{__name__}.{QuickHasher.__name__}"]
