"""Mails about money: what they say, once for each cause, and never in vain."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from django.conf import settings as conf
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connections, transaction
from django.utils import timezone

from accounts.models import User
from billing import letters, wording
from billing.models import Letter, Order, Payment, Plan
from common.errors import Unavailable
from tests import mails
from tests.racing import at_once

pytestmark = pytest.mark.usefixtures("clean_books")

CREDIT = 1_000_000
DAY = datetime(2026, 12, 21, 10, 30, tzinfo=UTC)


def payment_of(user: User, **more: object) -> Payment:
    fields = {
        "object_id": "cs_1", "user": user, "kind": "credits", "paid": 950, "currency": "usd",
        "granted": 100 * CREDIT,
    } | more  # fmt: skip
    return Payment.objects.create(**fields)


def top_up_of(user: User) -> Order:
    return Order.objects.create(
        user=user, kind="top_up", quantity=50, amount=500, currency="usd", state="failed"
    )


def only(user: User) -> tuple[str, str]:
    """Subject and text of the one mail somebody got; its lines joined, so that it can be read."""
    (mail,) = mails.to(user.email)
    assert conf.SITE_NAME in mails.html_of(mail)
    return str(mail.subject), " ".join(mails.text_of(mail).split())


def test_a_receipt_of_credits(user):
    letters.receipt(payment_of(user), invoice_url="https://stripe.example/i/1?a=b&c=d")
    subject, text = only(user)
    assert subject == "Receipt: $9.50"
    assert "- Amount: $9.50" in text
    assert "- Added to your balance: 100 credits" in text
    assert f"- Date: {wording.day(timezone.now())}" in text
    assert "https://stripe.example/i/1?a=b&c=d" in text
    assert f"{conf.PUBLIC_URL}/dashboard/billing/" in text
    assert "demo" not in text


def test_a_receipt_of_a_plan_says_for_when(user):
    plan = Plan.objects.create(slug="tandem", name="Tom & Jerry <3", price=900)
    letters.receipt(
        payment_of(user, kind="plan", plan=plan, period_start=DAY - timedelta(days=30),
                   period_end=DAY)
    )  # fmt: skip
    _, text = only(user)
    assert "- For: the plan Tom & Jerry <3" in text
    assert "- Period: 21 November 2026 to 21 December 2026" in text
    assert "Tom &amp; Jerry &lt;3" in mails.html_of(mails.last_to(user.email))


def test_what_costs_nothing_is_not_called_paid(user):
    plan = Plan.objects.get(slug="pro")
    letters.receipt(payment_of(user, kind="plan", plan=plan, paid=0))
    subject, text = only(user)
    assert subject == "You have the plan Pro"
    assert "There is nothing to pay for this." in text
    assert "paid for" not in text


def test_a_receipt_of_a_top_up_says_that_it_was_automatic(user):
    letters.receipt(payment_of(user, kind="top_up"))
    subject, text = only(user)
    assert subject == "Automatic top-up: $9.50"
    assert "credits were bought for you" in text


def test_a_demo_says_so_everywhere(user):
    letters.receipt(payment_of(user, demo=True))
    subject, text = only(user)
    assert subject == "Demo: Receipt: $9.50"
    assert "This is a demo: no money has moved." in text


def test_a_failed_payment_says_until_when_and_where_to_pay(user):
    letters.payment_failed(
        user, invoice="in_1", amount=900, currency="usd", plan="Pro", until=DAY, url="https://p/1"
    )
    subject, text = only(user)
    assert subject == "Your payment for Pro was declined"
    assert "until 21 December 2026" in text
    assert "https://p/1" in text


def test_a_failed_payment_without_grace_says_that_it_is_over(user):
    letters.payment_failed(user, invoice="in_1", amount=900, currency="usd", plan="Pro", until=None)
    assert "Your plan is paused until this is paid." in only(user)[1]


def test_each_attempt_is_told_once(user):
    tell = partial(letters.payment_failed, user, invoice="in_1", amount=900, currency="usd",
                   plan="Pro", until=DAY)  # fmt: skip
    for attempt in (1, 1, 2, 2, 1):
        tell(attempt=attempt)
    assert len(mails.to(user.email)) == 2


def test_an_ending_trial_says_what_is_due(user):
    letters.trial_ending(
        user, subscription="sub_1", plan="Pro", ends_at=DAY, amount=900, currency="usd"
    )
    subject, text = only(user)
    assert subject == "Your trial of Pro ends on 21 December 2026"
    assert "$9.00 is taken from your card" in text


@pytest.mark.parametrize(
    ("ended", "subject"),
    [
        (False, "Your plan Pro ends on 21 December 2026"),
        (True, "Your plan Pro has ended"),
    ],
)
def test_a_cancellation_is_confirmed(user, ended, subject):
    letters.subscription_canceled(user, subscription="sub_1", plan="Pro", ends_at=DAY, ended=ended)
    assert only(user)[0] == subject


def test_a_refund_says_what_it_took(user):
    letters.refunded(payment_of(user, refunded=475), amount=475, credits=50 * CREDIT)
    subject, text = only(user)
    assert subject == "A refund of $4.75"
    assert "50 credits were taken back" in text


def test_a_dispute_says_what_is_withheld_and_what_came_back(user):
    payment = payment_of(user, paid=80_00, disputed=80_00, revision=1)
    letters.disputed(payment, credits=1_000 * CREDIT)
    subject, text = only(user)
    assert subject == "Your payment of $80.00 is disputed"
    assert "1,000 credits are taken out of your balance" in text
    payment.revision = 2
    letters.disputed(payment, credits=1_000 * CREDIT, over=True)
    assert "1,000 credits are given back" in " ".join(
        mails.text_of(mails.last_to(user.email)).split()
    )


def test_a_frozen_wallet_says_why_and_what_to_do(user):
    letters.wallet_frozen(user, cause="in_1:2", owed=12_500_000, disputed=True)
    subject, text = only(user)
    assert subject == "Your balance is frozen: 12.5 credits are owed"
    assert "was disputed at the bank" in text
    assert "buy credits" in text


def test_a_low_balance_at_the_cap_says_so(user):
    letters.low_balance(user, available=CREDIT // 4, since=DAY, cap=200)
    subject, text = only(user)
    assert subject == "Your balance is low: 0.25 credits left"
    assert "at most 200 credits a month" in text


def test_a_declined_top_up_says_when_it_is_tried_again(user):
    letters.top_up_declined(top_up_of(user), why="insufficient_funds", next_try_at=DAY)
    subject, text = only(user)
    assert subject == "An automatic top-up was declined"
    assert "insufficient funds" in text
    assert "21 December 2026, 10:30 UTC" in text


def test_a_reason_that_is_the_banks_secret_is_not_told(user):
    letters.top_up_declined(top_up_of(user), why="fraudulent", next_try_at=None)
    subject, text = only(user)
    assert subject == "Automatic top-up is switched off"
    assert "the bank declined it" in text
    assert "fraud" not in text


def test_an_approval_carries_its_link(user):
    letters.top_up_authentication(top_up_of(user), url="https://c/pay/1", until=DAY)
    subject, text = only(user)
    assert subject == "Your bank wants you to approve a payment of $5.00"
    assert "https://c/pay/1" in text


def test_the_word_for_credits_is_the_operators(user, settings):
    settings.CREDIT_NAME = "tokens"
    letters.low_balance(user, available=CREDIT, since=DAY)
    assert "1 tokens left" in only(user)[0]


def test_what_is_rolled_back_is_not_told(user):
    with transaction.atomic():
        letters.wallet_frozen(user, cause="in_1:2", owed=1)
        transaction.set_rollback(True)
    assert mails.to(user.email) == []
    assert letters.send_waiting() == 0


def test_nothing_leaves_before_the_commit(user):
    with transaction.atomic():
        letters.wallet_frozen(user, cause="in_1:2", owed=1)
        assert mails.to(user.email) == []
    assert len(mails.to(user.email)) == 1


def test_ten_at_once_send_one(user):
    payment = payment_of(user)

    def tell() -> None:
        try:
            with transaction.atomic():
                letters.receipt(payment)
        finally:
            connections.close_all()

    at_once([tell] * 10)
    assert len(mails.to(user.email)) == 1


def test_ten_at_once_without_the_key_send_ten(user):
    """The control."""
    number = iter(range(10))

    def tell() -> None:
        try:
            letters._write(f"receipt:{next(number)}", user, "wallet_frozen", owed="1 credit")
        finally:
            connections.close_all()

    at_once([tell] * 10)
    assert len(mails.to(user.email)) == 10


class Away(BaseEmailBackend):
    """A queue of mails that can't be reached."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        raise Unavailable("Mail can't be sent now; try again shortly.")


@pytest.fixture
def queue(settings):
    """``queue("away")`` and ``queue("back")``."""
    usual = settings.EMAIL_BACKEND

    def become(state: str) -> None:
        settings.EMAIL_BACKEND = f"{__name__}.Away" if state == "away" else usual

    become("away")
    return become


def test_what_the_queue_does_not_take_is_sent_later(user, queue):
    letters.wallet_frozen(user, cause="in_1:2", owed=1)
    queue("back")
    assert letters.send_waiting() == 0  # its writer may be at it
    Letter.objects.update(created=timezone.now() - timedelta(minutes=2))
    assert [letters.send_waiting(), letters.send_waiting()] == [1, 0]
    assert len(mails.to(user.email)) == 1


def test_old_news_is_not_sent(user, queue):
    letters.wallet_frozen(user, cause="in_1:2", owed=1)
    queue("back")
    Letter.objects.update(created=timezone.now() - timedelta(days=4))
    assert letters.send_waiting() == 0


def test_it_goes_to_the_address_of_the_day(user, queue):
    letters.wallet_frozen(user, cause="in_1:2", owed=1)
    queue("back")
    User.objects.update(email="new@example.com")
    Letter.objects.update(created=timezone.now() - timedelta(minutes=2))
    letters.send_waiting()
    assert len(mails.to("new@example.com")) == 1


def test_nobody_who_has_left_is_written_to(user):
    User.objects.update(is_active=False)
    letters.wallet_frozen(user, cause="in_1:2", owed=1)
    assert mails.to(user.email) == []


def test_they_are_forgotten_after_half_a_year(user):
    letters.wallet_frozen(user, cause="in_1:2", owed=1)
    assert letters.forget() == 0
    Letter.objects.update(created=timezone.now() - timedelta(days=181))
    assert letters.forget() == 1
