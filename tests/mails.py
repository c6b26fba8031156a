"""Reading mails in tests.

In a test's own process Django's runner puts a memory in the place of ``EMAIL_BACKEND``: mails are
in ``django.core.mail.outbox`` at once, and neither queue nor worker is asked.

A server of its own process queues its mails, so it needs a worker beside it (``celery -A config
worker --pool solo``), and ``EMAIL_URL`` in the environment of both says where they go:
``tests.fakes.smtp.FakeMail().url`` for a mail server that answers questions, or
``filemail:///some/folder`` for files, which ``in_folder`` reads.
"""

import email
import email.policy
import re
from email.message import EmailMessage as Parsed
from pathlib import Path

from django.core import mail
from django.core.mail import EmailMessage

# As allauth writes them: letters and digits that can't be mistaken, in two groups.
CODE = re.compile(r"^ *([A-Z0-9]{3,4}-[A-Z0-9]{3,4}) *$", re.MULTILINE)


def text_of(message: EmailMessage | Parsed) -> str:
    """A mail's plain text."""
    if isinstance(message, EmailMessage):
        return str(message.body)
    part = message.get_body(("plain",))
    assert part is not None, "the mail has no text"
    return str(part.get_content()).replace("\r\n", "\n")


def html_of(message: EmailMessage) -> str:
    """A mail's HTML."""
    (part,) = message.alternatives  # type: ignore[attr-defined]
    assert part.mimetype == "text/html"
    return str(part.content)


def code_in(message: EmailMessage | Parsed) -> str:
    """The code that a mail carries, on a line of its own."""
    found = CODE.search(text_of(message))
    assert found, f"no code in: {text_of(message)}"
    return found[1]


def to(address: str) -> list[EmailMessage]:
    """What somebody got in this process, oldest first."""
    return [message for message in mail.outbox if address in message.to]


def last_to(address: str) -> EmailMessage:
    found = to(address)
    assert found, f"no mail to {address}, but to {[message.to for message in mail.outbox]}"
    return found[-1]


def in_folder(folder: Path) -> list[Parsed]:
    """The mails that ``EMAIL_URL=filemail://<folder>`` left there, oldest first."""
    files = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    return [
        email.message_from_bytes(raw.strip(), policy=email.policy.default)
        for path in files
        for raw in path.read_bytes().split(b"-" * 79 + b"\n")
        if raw.strip()
    ]
