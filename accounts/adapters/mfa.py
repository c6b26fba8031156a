"""Second factors and passkeys."""

from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError

from accounts import browsers, crypto, staff

NO_PASSKEY = (
    "This passkey is not known here; it may have been removed. Use another one, or sign in another "
    "way."
)


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of second factors are encrypted at rest."""

    def validation_error(self, code: str, *args: object) -> ValidationError:
        """allauth speaks of an incorrect code of a passkey, too, which nobody typed."""
        if code == "incorrect_code" and _is_about_passkey():
            return ValidationError(NO_PASSKEY, code=code)
        return super().validation_error(code, *args)

    def encrypt(self, text: str) -> str:
        return crypto.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return crypto.decrypt(encrypted_text)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """What the form for a new passkey proposes: the browser it is added with."""
        return browsers.browser(context.request.headers.get("user-agent", ""))

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not staff.is_last_factor(authenticator)


def _is_about_passkey() -> bool:
    match = getattr(context.request, "resolver_match", None)
    by_page = "credential" in context.request.POST  # one form takes codes and passkeys
    return by_page or (match is not None and "webauthn" in match.view_name)
