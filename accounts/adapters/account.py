"""Sign-up and sign-in by e-mail."""

import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.core.internal.httpkit import is_headless_request
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.http import HttpRequest
from django.utils.crypto import get_random_string

from accounts import access, disposable, letters, limits, squatters
from accounts.models import User
from accounts.recent import RECENT

# Whoever has an account keeps their way back in, even when their mail service is listed later.
RESETS = {"account_reset_password", "headless:app:account:request_password_reset"}
# Where a password comes with the address.
SIGN_UPS = {"account_signup", "headless:app:account:signup"}

# The mails that carry a code, and allauth's setting of how long it works, seconds.
CODE_SECONDS = {
    "account/email/email_confirmation": "EMAIL_VERIFICATION_BY_CODE_TIMEOUT",
    "account/email/email_confirmation_signup": "EMAIL_VERIFICATION_BY_CODE_TIMEOUT",
    "account/email/login_code": "LOGIN_BY_CODE_TIMEOUT",
    "account/email/password_reset_code": "PASSWORD_RESET_BY_CODE_TIMEOUT",
}


def _view_name() -> str:
    match = getattr(context.request, "resolver_match", None)
    return match.view_name if match is not None else ""


def _ask_again(adapter: DefaultAccountAdapter) -> None:
    """Have somebody sign in again who has neither a password nor a second factor.

    allauth knows no other way to ask them, and so lets them change anything in a session of any
    age. Raises what leads them there, unless they signed in just now.
    """
    request = context.request
    user = request.user
    if not user.is_authenticated or adapter.get_reauthentication_methods(user):
        return
    records = get_authentication_records(request, user)
    last = max((record["at"] for record in records), default=0.0)
    if time.time() - last < RECENT.total_seconds():
        return
    if is_headless_request(request):
        raise ReauthenticationRequired
    logout(request)
    messages.info(request, "Sign in again to show that it is you.")
    raise ImmediateHttpResponse(redirect_to_login(request.get_full_path()))


class AccountAdapter(DefaultAccountAdapter):
    """allauth's own, and what it leaves to a project."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": "The e-mail address or the password is not correct.",
        "enter_current_password": "This is not your present password.",
        "incorrect_code": "Incorrect code. Look for the newest mail, or ask for a new code.",
        "incorrect_password": "Incorrect password.",
        "rate_limited": "Too many requests; wait a while and try again.",
        "same_as_current": "This is what it is now; choose another.",
        "too_many_login_attempts": "Too many wrong passwords; wait a few minutes and try again.",
    }

    def get_client_ip(self, request: HttpRequest) -> str:
        """As ``limits.client_address`` counts; allauth's own fails on a header that is forged."""
        return str(limits.client_address(request))

    def clean_email(self, email: str) -> str:
        """Raises ``ValidationError`` for a throw-away address, whether somebody has it or not."""
        if disposable.is_refused(email) and _view_name() not in RESETS:
            raise ValidationError(disposable.REFUSED, code="disposable_email")
        return str(super().clean_email(email))

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Mails that carry a code say how many minutes it works for."""
        if name := CODE_SECONDS.get(template_prefix):
            context = context | {"minutes": getattr(app_settings, name) // 60}
        super().send_mail(template_prefix, email, context)

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMultiAlternatives:
        """Of each mail there is a text; its HTML is made from that."""
        return letters.dress(super().render_mail(template_prefix, email, context, headers))

    def send_account_already_exists_mail(self, email: str) -> None:
        """A sign-up for an address that has an account: in place of the user, and of the hash of
        the password, which would take the time that tells the two apart."""
        if _view_name() in SIGN_UPS:
            make_password(get_random_string(16))
        super().send_account_already_exists_mail(email)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Called where a session gave back the code it had asked for, and nowhere else."""
        squatters.note_proved(request)
        return bool(super().confirm_email(request, email_address))

    def set_password(self, user: AbstractBaseUser, password: str) -> None:
        """A first password, too, is a change that a thief of a session must not make."""
        _ask_again(self)
        squatters.note_password_set(context.request)
        super().set_password(user, password)

    def reauthenticate(self, user: AbstractBaseUser, password: str) -> bool:
        known = bool(super().reauthenticate(user, password))
        if known and isinstance(user, User):
            access.keep_sign_in(context.request, user, password)
        return known

    def is_reauthentication_required(self, *, app: str, **more: Any) -> bool:
        """Raises for somebody whom allauth would let pass, see ``_ask_again``."""
        _ask_again(self)
        return bool(super().is_reauthentication_required(app=app, **more))

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """What failed sign-ins of one account are counted under.

        allauth adds the host's name as the caller wrote it, with any port they like: each port
        would be a fresh start for whoever guesses passwords.
        """
        return str(credentials.get("email", "")).lower()
