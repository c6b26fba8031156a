"""Every mail: what it says, as text and as HTML, and how it reaches a mail server."""

import re
import smtplib
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import allauth
import pytest
from celery.exceptions import Retry
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import transaction
from django.utils import timezone

from accounts import crypto, letters, tasks
from accounts import mail as mails
from accounts.adapters import AccountAdapter
from accounts.verbs import create_user
from common.errors import Unavailable
from config.celery import app
from tests.accounts.people import app as app_call
from tests.accounts.people import visitor
from tests.fakes.smtp import FakeMail
from tests.mails import code_in, html_of, in_folder, text_of

ROOT = Path(__file__).resolve().parents[2]
LOCAL = "django.core.mail.backends.locmem.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"
CODES = ("email_confirmation", "email_confirmation_signup", "login_code", "password_reset_code")
OTHERS = ("account_already_exists", "unknown_account")
NOTICES = (
    "account/email/password_changed",
    "account/email/password_set",
    "account/email/password_reset",
    "account/email/email_changed",
    "account/email/email_confirm",
    "account/email/email_deleted",
    "mfa/email/totp_activated",
    "mfa/email/totp_deactivated",
    "mfa/email/recovery_codes_generated",
    "mfa/email/webauthn_added",
    "mfa/email/webauthn_removed",
    "socialaccount/email/account_connected",
    "socialaccount/email/account_disconnected",
    "accounts/email/key_made",
)
EVERY = (
    *(f"account/email/{name}" for name in (*CODES, *OTHERS)),
    *NOTICES,
    "accounts/email/goodbye",
    "accounts/email/factors_reset",
    "accounts/email/address_replaced",
)


def rendered(prefix, **changes):
    """A mail as the adapter makes it."""
    context = {
        "email": "rider@example.com",
        "code": "7KQ2-M4XP",
        "minutes": 10,
        "signup_url": "https://farebox.example/accounts/signup/",
        "password_reset_url": "https://farebox.example/accounts/password/reset/",
        "timestamp": timezone.now(),
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0 <b>bold</b> & more",
        "from_email": "old@example.com",
        "to_email": "new@example.com",
        "deleted_email": "gone@example.com",
        "provider": "GitHub",
        "key": SimpleNamespace(name="Ann's <laptop>", prefix="fb_abc123"),
        "keys_url": "https://farebox.example/dashboard/keys/",
    } | changes
    return AccountAdapter().render_mail(prefix, "rider@example.com", context)


class Words(HTMLParser):
    """The words that a reader of HTML sees."""

    def __init__(self, html):
        super().__init__()
        self.found, self._hidden = [], 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "br":
            self.found += ["\n"]
        style = dict(attrs).get("style") or ""
        if tag in {"style", "title", "head"} or "display:none" in style or self._hidden:
            self._hidden += tag not in {"meta", "br"}

    def handle_endtag(self, tag):
        self._hidden -= bool(self._hidden)

    def handle_data(self, data):
        if not self._hidden:
            self.found += [data]


@pytest.mark.parametrize("prefix", EVERY)
def test_text_and_html_say_the_same(prefix):
    message = rendered(prefix)
    text = re.sub(r"^(- |-- $)", "", text_of(message), flags=re.MULTILINE)
    words = "".join(Words(html_of(message)).found)
    assert words.split() == ["Farebox", *message.subject.split(), *text.split()]


@pytest.mark.parametrize("prefix", EVERY)
def test_a_mail_is_ours_and_fit_to_read(prefix):
    message = rendered(prefix)
    text, html = text_of(message), html_of(message)
    assert "\n" not in message.subject
    assert 10 < len(message.subject) < 78
    assert not re.search(r"example\.com!|Thank you for using|Hello from|{{|{%|&#x27;|&amp;", text)
    assert "\n\n\n" not in text
    long = [line for line in text.splitlines() if len(line) > letters.WIDTH and "://" not in line]
    assert long == []
    assert re.search(r"[Ii]f it was not you|If you are not", text)
    # Nothing is loaded when it is opened: no image, no font, no script, no foreign style.
    assert not re.search(r"<img|<script|<link|@import|@font-face|url\(|src=", html)
    assert html.count("<b>") == 0


@pytest.mark.parametrize("name", CODES)
def test_a_code_stands_alone_in_the_text_and_is_selected_whole_in_html(name):
    message = rendered(f"account/email/{name}")
    assert code_in(message) == "7KQ2-M4XP"
    assert re.search(r'class="code"[^>]*user-select:all[^>]*>7KQ2-M4XP<', html_of(message))
    assert "10 minutes" in text_of(message)
    assert "7KQ2" not in message.subject  # it would be on a locked screen


def test_allauth_has_no_words_left_but_for_what_our_settings_never_send():
    never = {"password_reset_key", "base"}  # a link instead of a code; no mail of its own
    theirs = Path(allauth.__file__).parent / "templates"
    for source in theirs.glob("*/email/*_message.txt"):
        name = source.relative_to(theirs)
        if source.stem.removesuffix("_message") not in never:
            assert str(name).removesuffix("_message.txt") in EVERY
            assert (ROOT / "templates" / name).exists(), name


# --- The way out ------------------------------------------------------------------------------


def letter(**changes):
    options = {
        "subject": "Grüße",
        "body": "Your code:\n\n7KQ2-M4XP\n",
        "from_email": "Farebox <no-reply@farebox.example>",
        "to": ["rider@example.com"],
        "headers": {"X-Kind": "code"},
    } | changes
    message = EmailMultiAlternatives(**options)
    message.attach_alternative("<p>7KQ2-M4XP</p>", "text/html")
    return message


@pytest.fixture
def queue(settings):
    """Mails go through the queue; its task runs at once, in this process."""
    settings.EMAIL_BACKEND, settings.MAIL_BACKEND = "accounts.mail.Queue", LOCAL
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.fixture
def server(settings):
    """A mail server on loopback."""
    with FakeMail() as fake:
        settings.MAIL_BACKEND = SMTP
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", fake.port
        yield fake


@pytest.mark.django_db(transaction=True)
def test_a_mail_leaves_with_the_commit_and_not_before(queue):
    with transaction.atomic():
        letter().send()
        assert mail.outbox == []
    assert [message.subject for message in mail.outbox] == ["Grüße"]


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_sends_no_mail(queue):
    with transaction.atomic():
        letter().send()
        transaction.set_rollback(True)
    assert mail.outbox == []


def test_a_mail_arrives_as_it_was_written(server):
    mails.send(mails.seal(letter(cc=["copy@example.com"], reply_to=["desk@farebox.example"])))
    (found,) = server.to("rider@example.com")
    assert found["subject"] == "Grüße"
    assert found["from"] == "Farebox <no-reply@farebox.example>"
    assert (found["cc"], found["reply-to"]) == ("copy@example.com", "desk@farebox.example")
    assert found["x-kind"] == "code"
    assert text_of(found) == "Your code:\n\n7KQ2-M4XP\n"
    assert "<p>7KQ2-M4XP</p>" in found.get_body(("html",)).get_content()


def test_what_lies_in_the_queue_shows_nothing():
    sealed = mails.seal(letter())
    assert not re.search(r"7KQ2|rider|code", sealed)
    assert "7KQ2-M4XP" in crypto.decrypt(sealed)


def test_attachments_are_refused_aloud():
    message = EmailMessage("Subject", "Body", to=["rider@example.com"])
    message.attach("data.txt", "text")
    with pytest.raises(ValueError, match="attachments"):
        mails.seal(message)


@pytest.fixture
def queue_away(settings):
    """Nothing listens where the queue should be."""
    settings.EMAIL_BACKEND = "accounts.mail.Queue"
    was, app.conf.broker_url = app.conf.broker_url, "redis://127.0.0.1:1/0"
    app.amqp._producer_pool = None
    yield
    app.conf.broker_url = was
    app.amqp._producer_pool = None


@pytest.mark.django_db(transaction=True)
def test_while_the_queue_is_away_the_caller_is_told(queue_away):
    started = time.monotonic()
    with pytest.raises(Unavailable):
        letter().send()
    assert time.monotonic() - started < 5


@pytest.mark.django_db(transaction=True)
def test_while_the_queue_is_away_nobody_waits_for_a_code_that_can_not_come(queue_away):
    create_user(email="rider@example.com")
    form = {"email": "rider@example.com"}
    page = visitor().post("/accounts/login/code/", form)
    assert page.status_code == 503
    assert page["retry-after"] == "5"
    assert "try again shortly" in page.content.decode()
    assert app_call(visitor(), "POST", "auth/code/request", form).status_code == 503


def test_a_mail_server_that_is_away_is_asked_again(settings, caplog):
    settings.MAIL_BACKEND = SMTP
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    with pytest.raises(Retry) as raised:
        tasks.send_mail.apply([mails.seal(letter())], throw=True)
    assert raised.value.when == tasks.PAUSES[0]
    assert isinstance(raised.value.exc, mails.NotSent)
    assert "rider@" not in caplog.text
    assert "7KQ2" not in caplog.text


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (smtplib.SMTPServerDisconnected("gone"), False),
        (smtplib.SMTPRecipientsRefused({"rider@example.com": (450, b"later")}), False),
        (smtplib.SMTPRecipientsRefused({"rider@example.com": (550, b"nobody")}), True),
        (smtplib.SMTPDataError(552, b"rider@example.com"), True),
        (smtplib.SMTPDataError(451, b"rider@example.com"), False),
        (smtplib.SMTPAuthenticationError(535, b"user"), False),
        (TimeoutError(), False),
    ],
)
def test_only_what_can_change_is_tried_again(error, lasting):
    reason, found = mails._reason(error)
    assert found is lasting
    assert "@" not in reason


def test_a_folder_takes_mails_for_tests_of_other_processes(settings, tmp_path):
    settings.MAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    for subject in ("one", "two"):
        mails.send(mails.seal(letter(subject=subject)))
    found = in_folder(tmp_path)
    assert [message["subject"] for message in found] == ["one", "two"]
    assert code_in(found[0]) == "7KQ2-M4XP"


def test_in_the_terminal_a_mail_is_its_text(capsys, settings):
    settings.MAIL_BACKEND = "accounts.mail.Terminal"
    mails.send(mails.seal(letter()))
    shown = capsys.readouterr().out
    assert "Mail to rider@example.com\nSubject: Grüße\n\nYour code:\n\n7KQ2-M4XP\n" in shown
    assert "<p>" not in shown
