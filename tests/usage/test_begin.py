"""usage_begin: what a call needs before it may start, and what it finds missing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.keys import digest
from accounts.models import ApiKey, User
from accounts.verbs import create_user, issue_key, revoke_key
from billing.entitlements import assign_plan
from billing.models import Entitlement, Plan
from ledger import verbs
from ledger.models import Account, Hold
from tests.ledger.books import balance, make_due
from tests.usage.begun import METADATA, begin, finish, months, put_on_plan
from usage.models import Call, MonthlyUsage

pytestmark = pytest.mark.usefixtures("proved")


def test_the_worst_case_is_held_and_the_request_counted(user, wallet, fund, api_key):
    fund(wallet, 1000)

    begun = begin(digest=digest(api_key.secret))

    assert (begun.outcome, begun.held, begun.output_tokens) == ("ok", 50, 20)
    assert begun.available == 950
    assert balance(wallet) == (1000, 50, 0)
    hold = Hold.objects.get(pk=begun.call)
    assert (hold.kind, hold.amount, hold.state) == ("call", 50, "open")
    assert hold.metadata == METADATA | {
        "user": user.pk, "key": str(api_key.key.pk), "quota": False, "tokens": None,
    }  # fmt: skip
    assert timedelta(seconds=50) < hold.lease_until - timezone.now() <= timedelta(seconds=60)
    assert months(user) == [(1, 0, 0, 0)]
    assert ApiKey.objects.get().last_used_at == hold.created


def test_a_fraction_of_a_microcredit_is_held_whole(user, wallet, fund):
    fund(wallet, 100)

    assert begin(user=user, input_units=1, output_rate=0).held == 1
    assert begin(user=user, input_units=0, output_rate=1, output_tokens=1).held == 1
    assert begin(user=user, input_units=1_000_000, output_rate=0).held == 1


def test_every_choice_is_held_for(user, wallet, fund):
    fund(wallet, 1000)

    assert begin(user=user, choices=3).held == 10 + 3 * 20 * 2


def test_a_user_is_known_without_a_key(user, wallet, fund):
    fund(wallet, 1000)

    assert begin(user=user).outcome == "ok"
    assert begin(user=user).outcome == "ok"
    assert months(user) == [(2, 0, 0, 0)]


def test_somebody_without_a_wallet_gets_one(user):
    assert begin(user=user).outcome == "insufficient"
    assert Account.objects.filter(owner=user, kind="wallet").count() == 1


def expire(key):
    ApiKey.objects.update(expires_at=timezone.now())


def disable(key):
    User.objects.update(is_active=False)


@pytest.mark.parametrize("close", [lambda key: revoke_key(key=key), expire, disable])
def test_a_key_that_opens_no_more(close, wallet, fund, api_key):
    fund(wallet, 1000)
    assert begin(digest=digest(api_key.secret)).outcome == "ok"

    close(api_key.key)

    assert begin(digest=digest(api_key.secret)).outcome == "invalid_key"
    assert balance(wallet) == (1000, 50, 0)


def test_an_unknown_key(wallet, fund):
    fund(wallet, 1000)

    assert begin(digest=b"?" * 32).outcome == "invalid_key"


def test_a_key_expires_at_its_moment(wallet, fund, api_key):
    fund(wallet, 1000)
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(minutes=1))

    assert begin(digest=digest(api_key.secret)).outcome == "ok"


def test_a_key_without_the_scope(wallet, fund, api_key):
    fund(wallet, 1000)
    ApiKey.objects.update(scopes=["read"])

    assert begin(digest=digest(api_key.secret)).outcome == "scope"


def test_an_unknown_user(clean_books):
    assert begin(user=User(pk=987_654)).outcome == "invalid_key"
    assert begin().outcome == "signed_out"


@pytest.mark.parametrize(
    ("status", "grace", "outcome"),
    [
        ("active", None, "ok"),
        ("trialing", None, "ok"),
        ("past_due", None, "ok"),
        ("past_due", 60, "ok"),
        ("past_due", -60, "plan_inactive"),
        ("canceled", None, "plan_inactive"),
        ("inactive", None, "plan_inactive"),
    ],
)
def test_a_plan_gives_access_by_its_status(user, wallet, fund, status, grace, outcome):
    fund(wallet, 1000)
    entitlement = assign_plan(user=user, plan=Plan.objects.get(slug="pro"), status=status)
    if grace:
        entitlement.grace_until = timezone.now() + timedelta(seconds=grace)
        entitlement.save()

    assert begin(user=user).outcome == outcome
    assert Entitlement.objects.get().gives_access == (outcome == "ok")


def test_without_any_plan_nothing_is_open(user, wallet, fund):
    fund(wallet, 1000)
    Plan.objects.update(is_default=False)

    assert begin(user=user).outcome == "plan_inactive"


def test_a_plans_models(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, allowed_models=["m", "n"])

    assert begin(user=user).outcome == "ok"
    assert begin(user=user, model="o").outcome == "model_refused"


def test_a_plans_bound_of_output(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user, max_output_tokens=15)

    refused = begin(user=user, output_tokens=16)
    assert (refused.outcome, refused.detail) == ("output_bound", 15)
    assert begin(user=user, output_tokens=15).output_tokens == 15
    clamped = begin(user=user, output_tokens=16, exact=False)
    assert (clamped.outcome, clamped.output_tokens, clamped.held) == ("ok", 15, 40)


def test_a_frozen_wallet(user, wallet, fund):
    grant = fund(wallet, 100).grant
    verbs.spend(account=wallet, amount=100, key="spend")
    verbs.revoke(grant=grant, amount=30, key="revoke")

    refused = begin(user=user)

    assert (refused.outcome, refused.detail) == ("frozen", 30)
    assert months(user) == []


def test_a_lot_that_is_due_pays_for_nothing(user, wallet, fund):
    make_due(fund(wallet, 1000).grant)

    assert begin(user=user).outcome == "insufficient"
    assert balance(wallet) == (0, 0, 0)


def test_an_exact_bound_that_is_not_affordable(user, wallet, fund):
    fund(wallet, 49)

    refused = begin(user=user)

    assert refused.outcome == "insufficient"
    assert (refused.available, refused.needed, refused.affordable) == (49, 50, 19)
    assert balance(wallet) == (49, 0, 0)
    assert months(user) == []
    assert begin(user=user, output_tokens=19).outcome == "ok"


def test_an_open_bound_is_clamped_to_what_is_there(user, wallet, fund):
    fund(wallet, 21)

    begun = begin(user=user, exact=False)

    assert (begun.outcome, begun.output_tokens, begun.held, begun.available) == ("ok", 5, 20, 1)


def test_below_the_floor_nothing_begins(user, wallet, fund):
    fund(wallet, 19)

    refused = begin(user=user, exact=False)

    assert (refused.outcome, refused.needed, refused.affordable) == ("insufficient", 20, 4)


def test_not_even_the_input_is_affordable(user, wallet, fund):
    fund(wallet, 9)

    refused = begin(user=user, choices=2)

    assert (refused.outcome, refused.affordable, refused.needed) == ("insufficient", 0, 90)
    assert begin(user=user, output_rate=0).outcome == "insufficient"


def test_a_free_model_needs_no_credits(user):
    begun = begin(user=user, input_units=0, output_rate=0)

    assert (begun.outcome, begun.held) == ("ok", 0)
    assert finish(begun.call, 0).spent == 0


def test_the_largest_worst_case_does_not_overflow(user, wallet, fund):
    fund(wallet, 1000)
    put_on_plan(user)

    refused = begin(
        user=user, input_units=2**62, output_rate=2**40, output_tokens=2**31, choices=128
    )

    assert refused.outcome == "insufficient"
    assert refused.needed == -(-(2**62 + 128 * 2**31 * 2**40) // 10**6)


def test_a_keys_monthly_cap(user, wallet, fund):
    fund(wallet, 1000)
    key = issue_key(user=user, name="capped", monthly_cap=120)
    known = digest(key.secret)
    first = begin(digest=known)
    second = begin(digest=known)

    refused = begin(digest=known)
    assert (refused.outcome, refused.available, refused.needed) == ("key_cap", 20, 50)
    assert refused.affordable == 5
    assert begin(user=user).outcome == "ok"  # the cap is the key's alone

    finish(first.call, 20)  # gives 30 of the cap back
    assert begin(digest=known).outcome == "ok"
    finish(second.call, 50)
    assert begin(digest=known).outcome == "key_cap"


def test_a_cap_counts_the_month_it_is_in(user, wallet, fund):
    fund(wallet, 1000)
    known = digest(issue_key(user=user, name="capped", monthly_cap=50).secret)
    begun = begin(digest=known)
    finish(begun.call, 50)
    assert begin(digest=known).outcome == "key_cap"

    # Time goes by: what was counted belongs to another month now.
    Call.objects.update(started="2020-01-15T00:00:00Z")
    MonthlyUsage.objects.update(month="2020-01")

    assert begin(digest=known).outcome == "ok"


def test_a_use_is_shown_to_the_minute(wallet, fund, api_key):
    fund(wallet, 1000)
    known = digest(api_key.secret)

    def last_use_after_another():
        assert begin(digest=known).outcome == "ok"
        used = ApiKey.objects.get().last_used_at
        assert used is not None
        return used

    first = last_use_after_another()
    assert last_use_after_another() == first

    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    assert last_use_after_another() > first


def test_a_stranger_cannot_spend_anothers_credits(wallet, fund):
    fund(wallet, 1000)

    assert begin(user=create_user(email="stranger@example.com")).outcome == "insufficient"
    assert balance(wallet) == (1000, 0, 0)
