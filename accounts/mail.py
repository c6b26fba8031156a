"""How a mail leaves: written while a request is served, sent by the worker.

``Queue`` is Django's ``EMAIL_BACKEND``. It hands each mail to the task ``accounts.tasks.send_mail``
when the transaction has been committed, so nobody waits for a mail server, and no mail tells of
what was rolled back. The task sends it through ``MAIL_BACKEND``, which ``EMAIL_URL`` names.

Mails carry codes, so what lies in the queue is encrypted: neither Valkey nor a log shows a word.
"""

import json
import sys
from collections.abc import Sequence
from functools import partial
from smtplib import SMTPAuthenticationError, SMTPRecipientsRefused, SMTPResponseException
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from kombu.exceptions import OperationalError

from accounts import crypto
from common.errors import Unavailable

TASK = "accounts.tasks.send_mail"
_FIELDS = ("subject", "body", "from_email", "to", "cc", "bcc", "reply_to", "extra_headers")


class NotSent(Exception):
    """The mail server did not take a mail. Says why in a word, and names nobody.

    ``lasting``: it will not take it later either.
    """

    def __init__(self, reason: str, lasting: bool) -> None:
        super().__init__(reason, lasting)
        self.reason, self.lasting = reason, lasting

    def __str__(self) -> str:
        return self.reason


class Queue(BaseEmailBackend):
    """Hands mails to the worker. Raises ``Unavailable`` when the queue can't be reached: at once,
    or from the commit, which then stands."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            if message.recipients():
                transaction.on_commit(partial(_queue, seal(message)))
        return len(email_messages)


def _queue(sealed: str) -> None:
    try:
        current_app.signature(TASK, args=[sealed]).apply_async(retry=False)
    except OperationalError:
        raise Unavailable("Mail can't be sent now; try again shortly.", retry_after=5) from None


def seal(message: EmailMessage) -> str:
    """A mail as the queue carries it. Raises ``ValueError`` for one with attachments."""
    if message.attachments:
        raise ValueError("mails with attachments are not queued")
    letter: dict[str, Any] = {name: getattr(message, name) for name in _FIELDS}
    letter["alternatives"] = [
        [part.content, part.mimetype] for part in getattr(message, "alternatives", [])
    ]
    return crypto.encrypt(json.dumps(letter, default=str))


def send(sealed: str) -> None:
    """Send what ``seal`` made. Raises ``NotSent``, and ``crypto.Unreadable`` when it was sealed
    under a ``SECRET_KEY`` that is gone."""
    letter = json.loads(crypto.decrypt(sealed))
    alternatives, headers = letter.pop("alternatives"), letter.pop("extra_headers")
    connection = get_connection(settings.MAIL_BACKEND)
    message = EmailMultiAlternatives(**letter, headers=headers, connection=connection)
    for content, mimetype in alternatives:
        message.attach_alternative(content, mimetype)
    try:
        message.send()
    except OSError as error:  # what smtplib raises is one, too
        raise NotSent(*_reason(error)) from None


def _reason(error: OSError) -> tuple[str, bool]:
    """Why, and whether it stays so. A refused log-in is for the operator to mend: try again."""
    name = type(error).__name__
    if isinstance(error, SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
        return f"{name} {codes}", all(500 <= code < 600 for code in codes)
    if isinstance(error, SMTPResponseException):
        lasting = 500 <= error.smtp_code < 600 and not isinstance(error, SMTPAuthenticationError)
        return f"{name} {error.smtp_code}", lasting
    return name, False


class Terminal(BaseEmailBackend):
    """Shows mails in the output of the worker, as text: what ``bin/dev`` does with them."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            # One write, so that two mails at once stay apart.
            sys.stdout.write(as_text(message))
            sys.stdout.flush()
        return len(email_messages)


def as_text(message: EmailMessage) -> str:
    """A mail in lines for a terminal, between two rules."""
    rule = "-" * 72
    head = f"Mail to {', '.join(message.recipients())}\nSubject: {message.subject}"
    return f"{rule}\n{head}\n\n{message.body}\n{rule}\n"
