"""Second factors and passkeys."""

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser

from accounts import browsers, crypto, staff


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted at rest."""

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """What the form for a new passkey proposes: the browser it is added with."""
        return browsers.browser(context.request.headers.get("user-agent", ""))

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not staff.is_last_factor(authenticator)
