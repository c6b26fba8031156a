"""Mails about what was done to an account, to whoever owns it.

What they tell of has happened: a mail that can't be handed over is logged, and undoes nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog
from allauth.account.adapter import get_adapter
from allauth.core import context
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import ApiKey, User

log = structlog.get_logger(__name__)


def key_made(key: ApiKey) -> None:
    """Tell the owner of a new API key, in case it was not they who made it."""
    about = {"key": key, "keys_url": settings.PUBLIC_URL + reverse("dashboard-keys")}
    with _logged("key made"):
        get_adapter().send_notification_mail("accounts/email/key_made", key.user, about)


def factors_reset(user: User) -> None:
    """Tell somebody that staff took their second factors away."""
    with _logged("factors reset"):
        get_adapter().send_mail("accounts/email/factors_reset", user.email, {})


def email_changed(old: str) -> None:
    """Tell the ``old`` address that staff gave the account another one."""
    with _logged("e-mail changed"):
        get_adapter().send_mail("accounts/email/address_replaced", old, {})


def goodbye(address: str) -> None:
    """Say that an account is gone, to the ``address`` it had."""
    with _logged("goodbye"):
        get_adapter().send_mail("accounts/email/goodbye", address, {})


def send(template: str, address: str, about: Mapping[str, Any]) -> None:
    """Send another app's mail; ``template`` is ``"billing/mail/receipt"``. Unlike the others it
    raises what stands against it."""
    with _for_a_request():
        get_adapter().send_mail(template, address, dict(about))


@contextmanager
def _for_a_request() -> Iterator[None]:
    """allauth makes mails for a request; outside of one, for one that came to ``PUBLIC_URL``."""
    with context.request_context(context.request or _nobodys()):
        yield


@contextmanager
def _logged(mail: str) -> Iterator[None]:
    try:
        with _for_a_request():
            yield
    except Exception as error:
        log.exception("a mail could not be sent", mail=mail, error=type(error).__name__)


def _nobodys() -> HttpRequest:
    request = HttpRequest()
    address = urlsplit(settings.PUBLIC_URL)
    request.META = {"HTTP_HOST": address.netloc, "wsgi.url_scheme": address.scheme}
    return request
