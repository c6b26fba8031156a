"""The mail of a low balance: to whom, and how often."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import User
from billing import letters, low, topup
from billing.entitlements import assign_plan
from billing.models import Allowance, Letter, Payment, Plan, TopUp
from ledger import verbs
from ledger.models import Account
from tests import mails
from tests.racing import at_once

pytestmark = pytest.mark.usefixtures("proved")

CREDIT = 1_000_000
SOON = timedelta(minutes=5)


@pytest.fixture
def payer(user: User, wallet: int, fund: Any) -> User:
    """Who bought 10 credits once, and has them."""
    fund(wallet, 10 * CREDIT)
    Payment.objects.create(object_id="cs_1", user=user, kind="credits", paid=100, currency="usd")
    low.mark_all()
    return user


@pytest.fixture
def spend(payer: User, wallet: int) -> Any:
    number = iter(range(100))
    return lambda amount: verbs.spend(
        account=wallet, amount=amount * CREDIT, key=f"s:{next(number)}"
    )


def mark_of(user: User) -> int | None:
    return Account.objects.get(owner=user, kind="wallet").low_mark


def later(by: timedelta = SOON) -> int:
    """How many are told some time later."""
    return low.mail_due(timezone.now() + by)


def subjects(user: User) -> list[str]:
    return [str(mail.subject) for mail in mails.to(user.email)]


def test_whoever_paid_is_told_once_below_one_credit(payer, spend):
    assert mark_of(payer) == CREDIT
    spend(9)
    assert later() == 0
    verbs.spend(account=verbs.wallet_of(user=payer.pk), amount=CREDIT // 2, key="half")
    assert [later(), later(), later(timedelta(days=3))] == [1, 0, 0]
    assert subjects(payer) == ["Your balance is low: 0.5 credits left"]


def test_it_waits_a_moment_for_what_may_come(payer, spend, wallet, fund):
    """The next month's allowance comes shortly after the last one has gone."""
    spend(10)
    assert low.mail_due() == 0
    fund(wallet, 5 * CREDIT)
    assert later() == 0


def test_a_second_crossing_is_told_a_day_after_the_first(payer, spend, wallet, fund):
    spend(10)
    assert later() == 1
    fund(wallet, 5 * CREDIT)
    spend(5)
    assert later() == 0
    assert later(timedelta(days=1, minutes=6)) == 1
    assert len(subjects(payer)) == 2


def test_who_is_lifted_before_is_not_told(payer, spend, wallet, fund):
    spend(10)
    fund(wallet, 5 * CREDIT)
    assert later() == 0


def test_who_wants_none_gets_none(payer, spend):
    topup.want_mail(payer, False)
    assert mark_of(payer) is None
    spend(10)
    assert later() == 0


def test_wanting_it_again(payer, spend, wallet):
    topup.want_mail(payer, False)
    topup.want_mail(payer, True)
    assert mark_of(payer) == CREDIT
    spend(10)
    assert later() == 1


def test_the_operator_can_switch_it_off(payer, settings):
    settings.LOW_BALANCE_CREDITS = 0
    low.mark_all()
    assert mark_of(payer) is None


def test_who_is_low_already_when_marked_is_not_told(user, wallet, fund):
    fund(wallet, CREDIT // 2)
    Payment.objects.create(object_id="cs_1", user=user, kind="credits", paid=100, currency="usd")
    low.mark(user.pk)
    assert mark_of(user) is None
    fund(wallet, CREDIT)
    low.mark(user.pk)
    assert mark_of(user) == CREDIT


def test_who_never_paid_and_has_no_allowance_has_no_mark(user, wallet, fund):
    fund(wallet, 10 * CREDIT)
    assert low.mark_all() == 0
    assert mark_of(user) is None


def test_a_plan_or_a_free_allowance_makes_a_mark(user, wallet, fund, make_wallet):
    fund(wallet, 10 * CREDIT)
    other = make_wallet()
    fund(other, 10 * CREDIT)
    owner = Account.objects.get(pk=other).owner
    assert owner is not None
    Plan.objects.filter(slug="pro").update(monthly_allowance=CREDIT)
    assign_plan(user=user, plan=Plan.objects.get(slug="pro"))
    Allowance.objects.create(user=owner, claimed_at=timezone.now())
    assert low.mark_all() == 2
    assert (mark_of(user), mark_of(owner)) == (CREDIT, CREDIT)
    assert low.mark_all() == 0


def test_who_is_topped_up_is_not_told(payer, spend):
    TopUp.objects.create(
        user=payer, enabled=True, threshold=5 * CREDIT, quantity=50, monthly_cap=50
    )
    low.mark(payer.pk)
    assert mark_of(payer) == 5 * CREDIT
    spend(10)
    assert later() == 0


def test_somebody_shut_out_is_not_told(payer, spend):
    spend(10)
    User.objects.filter(pk=payer.pk).update(is_active=False)
    assert later() == 0
    low.mark_all()
    assert mark_of(payer) is None


def test_two_at_once_tell_once(payer, spend):
    spend(10)
    assert sum(at_once([partial(_in_a_thread, later)] * 8)) == 1
    assert len(subjects(payer)) == 1
    assert Letter.objects.count() == 1


def test_two_at_once_without_the_lock_and_key_tell_twice(payer, spend):
    """The control: whoever sees a low wallet writes."""
    spend(10)
    wallet = low.wallet_of(payer.pk)
    number = iter(range(100))

    def naive() -> int:
        assert TopUp.objects.filter(user=payer, low_attended=wallet.low_since).count() == 0
        letters._write(f"naive:{next(number)}", payer, "low_balance", available="0")
        return 1

    assert sum(at_once([partial(_in_a_thread, naive)] * 4)) == 4
    assert len(subjects(payer)) == 4


def test_a_mark_moves_when_the_setting_does(payer, settings):
    settings.LOW_BALANCE_CREDITS = 3
    assert low.mark_all() == 1
    assert mark_of(payer) == 3 * CREDIT


def test_a_busy_wallet_is_marked_later(payer, wallet, connect, settings):
    settings.LOW_BALANCE_CREDITS = 3
    conn = connect(autocommit=False)
    conn.execute("SELECT FROM ledger_account WHERE id = %s FOR UPDATE", [wallet])
    assert low.mark_all() == 0
    conn.rollback()
    assert low.mark_all() == 1


def _in_a_thread(work: Any) -> Any:
    try:
        return work()
    finally:
        connections.close_all()
