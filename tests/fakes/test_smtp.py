"""The fake mail server keeps what Python's own client sends it."""

import smtplib
from email.message import EmailMessage

import pytest

from tests.fakes.smtp import FakeMail, text_of


@pytest.fixture
def mailbox():
    with FakeMail() as mailbox:
        yield mailbox


def send(mailbox, to, text, subject="Hello"):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "farebox@example.com", to, subject
    mail.set_content(text)
    mail.add_alternative(f"<p>{text}</p>", subtype="html")
    with smtplib.SMTP("127.0.0.1", mailbox.port, timeout=10) as server:
        server.send_message(mail)


def test_mails_are_kept_by_who_they_are_for(mailbox):
    send(mailbox, "ada@example.com", "Your code is ABC-123.", "Grüße")
    send(mailbox, "bob@example.com", "Another")
    send(mailbox, "ada@example.com", ".\n..dots\n.")
    assert mailbox.wait_for("ada@example.com")["subject"] == "Grüße"
    assert mailbox.code_for("ada@example.com") == "ABC-123"
    assert text_of(mailbox.wait_for("ada@example.com", number=2)) == ".\n..dots\n.\n"
    assert len(mailbox.to("bob@example.com")) == 1
    mailbox.clear()
    assert mailbox.to("ada@example.com") == []


def test_what_does_not_come_is_said(mailbox):
    send(mailbox, "ada@example.com", "one")
    with pytest.raises(TimeoutError, match=r"mail 2 to ada@.* did not come"):
        mailbox.wait_for("ada@example.com", number=2, seconds=0.05)
