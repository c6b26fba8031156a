"""The free plan's allowance: who gets one, once, and no more than the cap from one place."""

import os
import re
import threading
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import leaving, verbs
from accounts.models import User
from billing import allowance
from billing.models import Allowance, AllowancePerson, AllowanceRange, Plan
from billing.tasks import forget_ranges
from ledger.balances import balance_of
from ledger.models import Grant
from tests.accounts.people import apart
from tests.racing import at_once

CREDIT = 1_000_000
HOME = ip_address("198.51.100.7")
PASSWORD = "horse battery 7"
CODE = re.compile(r"\b[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}\b")


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def somebody(email="ada@example.com", *, verified=True):
    """Who signed up by themselves, as far as the allowance is concerned."""
    user = User.objects.create_user(email)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=verified)
    allowance.expect(user)
    return user


def ask(client, path, body, token=None, **headers):
    headers |= {"x-session-token": token} if token else {}
    return client.post(
        f"/_allauth/app/v1/{path}", body, content_type="application/json", headers=headers
    )


def sign_up(client, email, **headers):
    """By the headless API, with the code from the mail; answers the new session's token."""
    mail.outbox.clear()
    begun = ask(client, "auth/signup", {"email": email, "password": PASSWORD}, **headers)
    assert begun.status_code == 401, begun.content
    code = CODE.search(str(mail.outbox[0].body))[0]
    token = begun.json()["meta"]["session_token"]
    done = ask(client, "auth/email/verify", {"key": code}, token, **headers)
    assert done.status_code == 200, done.content
    return done.json()["meta"]["session_token"]


# --- Who gets one -----------------------------------------------------------------------------


def test_whoever_verifies_their_address_has_a_months_allowance(proved):
    token = sign_up(Client(), "ada@example.com")
    user = User.objects.get(email="ada@example.com")
    lot = Grant.objects.get(account__owner=user)
    assert (lot.kind, lot.amount) == (Grant.Kind.ALLOWANCE, CREDIT)
    assert lot.expires_at == allowance.month_end(timezone.now())
    assert user.allowance.claimed_at is not None
    assert list(allowance.eligible()) == [user]
    me = Client().get("/api/me", headers={"x-session-token": token}).json()
    assert me["balance"]["available"] == "1.000000"


def test_signing_in_again_brings_no_more(proved):
    sign_up(Client(), "ada@example.com")
    user = User.objects.get()
    done = ask(Client(), "auth/login", {"email": user.email, "password": PASSWORD})
    assert done.status_code == 200
    assert balance_of(user).posted == CREDIT


def test_before_the_address_is_verified_there_is_none(proved):
    user = somebody(verified=False)
    assert not allowance.claim(user, HOME)
    assert not AllowanceRange.objects.exists()
    EmailAddress.objects.update(verified=True)
    assert allowance.claim(user, HOME)
    assert not allowance.claim(user, HOME)
    assert balance_of(user).posted == CREDIT


def test_whom_the_operator_made_gets_what_the_operator_gives(proved, settings):
    user = verbs.create_user(email="made@example.com", password=PASSWORD)
    done = ask(Client(), "auth/login", {"email": user.email, "password": PASSWORD})
    assert done.status_code == 200
    assert balance_of(user).posted == 0
    assert not allowance.eligible().exists()


def test_a_plan_without_allowance_grants_none_and_takes_no_place(proved):
    Plan.objects.filter(is_default=True).update(monthly_allowance=0)
    user = somebody()
    assert not allowance.claim(user, HOME)
    assert not AllowanceRange.objects.exists()
    Plan.objects.filter(is_default=True).update(monthly_allowance=3 * CREDIT)
    assert allowance.claim(user, HOME)
    assert balance_of(user).posted == 3 * CREDIT


@pytest.mark.parametrize(
    ("now", "end"),
    [
        (datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (datetime(2028, 1, 31, tzinfo=UTC), datetime(2028, 2, 1, tzinfo=UTC)),
    ],
)
def test_it_lasts_to_the_end_of_the_month(now, end):
    assert allowance.month_end(now) == end


# --- One person -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada.love@gmail.com", "adalove+farm1@gmail.com"),
        ("adalove@gmail.com", "a.d.a.love@googlemail.com"),
        ("ada@example.com", "ada+x+y@example.com"),
    ],
)
def test_one_mailbox_gets_one(proved, one, other):
    first, second = somebody(one), somebody(other)
    assert allowance.claim(first, HOME)
    assert not allowance.claim(second, HOME)
    assert balance_of(second).posted == 0
    assert AllowanceRange.objects.get().claims == 1
    assert list(allowance.eligible()) == [first]


def test_dots_count_where_they_mean_something():
    assert allowance.mailbox("a.b@example.com") != allowance.mailbox("ab@example.com")
    assert allowance.mailbox("+tag@example.com") == "+tag@example.com"


def test_leaving_and_coming_back_brings_no_second(proved):
    first = somebody()
    assert allowance.claim(first, HOME)
    assert leaving.delete_account(user=first)
    assert not Allowance.objects.exists()
    again = somebody()
    assert not allowance.claim(again, HOME)


def test_what_is_kept_of_them_says_nothing(proved, settings):
    assert allowance.claim(somebody(), HOME)
    kept = [*AllowancePerson.objects.values_list("hash", flat=True)]
    kept += AllowanceRange.objects.values_list("hash", flat=True)
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in kept)
    assert AllowancePerson._meta.fields[0].name == "hash"
    assert len(AllowancePerson._meta.fields) == 1


def test_a_new_secret_key_forgets_nobody(proved, settings):
    assert allowance.claim(somebody("ada@example.com"), HOME)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-" * 10
    assert not allowance.claim(somebody("ada+2@example.com"), HOME)


# --- One place --------------------------------------------------------------------------------


def claims(addresses):
    users = [somebody(f"u{n}@example.com") for n in range(len(addresses))]
    return [
        allowance.claim(user, ip_address(one)) for user, one in zip(users, addresses, strict=True)
    ]


def test_the_cap_is_for_a_range(proved, settings):
    settings.FREE_ALLOWANCES_PER_RANGE = 2
    assert claims([f"198.51.100.{n}" for n in range(4)]) == [True, True, False, False]


def test_ipv6_is_counted_by_its_48(proved, settings):
    settings.FREE_ALLOWANCES_PER_RANGE = 2
    given = ["2001:db8:5:1::1", "2001:db8:5:ffff::1", "2001:db8:5::9", "2001:db8:6::1"]
    assert claims(given) == [True, True, False, True]


def test_zero_is_no_cap(proved, settings):
    settings.FREE_ALLOWANCES_PER_RANGE = 0
    assert claims(["198.51.100.1"] * 8) == [True] * 8


def test_who_came_too_late_tries_again_another_day(proved, settings):
    settings.FREE_ALLOWANCES_PER_RANGE = 1
    assert claims(["198.51.100.1", "198.51.100.2"]) == [True, False]
    late = User.objects.get(email="u1@example.com")
    assert balance_of(late).posted == 0
    yesterday = date.today() - timedelta(days=1)  # noqa: DTZ011 -- what was counted, moved back
    AllowanceRange.objects.update(
        day=yesterday, hash=allowance.range_hash(ip_address("198.51.100.1"), yesterday)
    )
    late.set_password(PASSWORD)
    late.save()
    client = Client(REMOTE_ADDR="198.51.100.2")
    assert ask(client, "auth/login", {"email": late.email, "password": PASSWORD}).status_code == 200
    assert balance_of(late).posted == CREDIT


def test_ranges_are_forgotten_after_two_days(proved):
    today = timezone.now().astimezone(UTC).date()
    for age in range(5):
        day = today - timedelta(days=age)
        AllowanceRange.objects.create(hash=allowance.range_hash(HOME, day), day=day, claims=1)
    assert forget_ranges() == 2
    assert AllowanceRange.objects.count() == 3


def test_a_busy_database_does_not_stop_a_sign_in(proved, connect):
    user = somebody()
    other = connect(autocommit=False)
    other.execute("SELECT FROM billing_allowance FOR UPDATE")
    assert not allowance.claim(user, HOME)
    other.rollback()
    assert allowance.claim(user, HOME)


# --- Farming ----------------------------------------------------------------------------------


# A thousand take two minutes of CPU: FAREBOX_TEST_SIGN_UPS=1000 has them all.
SIGN_UPS = int(os.environ.get("FAREBOX_TEST_SIGN_UPS", "200"))


@pytest.mark.parametrize(("proxies", "people"), [(0, SIGN_UPS), (1, SIGN_UPS // 2)])
def test_sign_ups_with_forged_headers_grant_the_cap(proved, settings, proxies, people):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    client = Client(REMOTE_ADDR="203.0.113.9" if proxies == 0 else "10.0.0.2")
    for number in range(people):
        forged = f"{number % 223 + 1}.{number // 4 % 256}.{number % 251}.7"
        seen = forged if proxies == 0 else f"{forged}, 203.0.113.{number % 256}"
        sign_up(client, f"farm{number}@example.com", **{"x-forwarded-for": seen})
    assert EmailAddress.objects.filter(verified=True).count() == people
    granted = Grant.objects.filter(kind=Grant.Kind.ALLOWANCE)
    assert granted.count() == settings.FREE_ALLOWANCES_PER_RANGE == 5


def test_of_many_at_once_exactly_the_cap_passes(proved):
    users = [somebody(f"u{n}@example.com") for n in range(24)]
    answers = at_once([apart(lambda user=user: allowance.claim(user, HOME)) for user in users])
    assert answers.count(True) == 5
    assert Grant.objects.count() == 5
    assert AllowanceRange.objects.get().claims == 5


def test_one_user_at_once_is_granted_once(proved):
    user = somebody()
    answers = at_once([apart(lambda: allowance.claim(user, HOME)) for _ in range(8)])
    assert answers.count(True) == 1
    assert balance_of(user).posted == CREDIT


def test_one_mailbox_at_once_is_granted_once(proved):
    users = [somebody(f"ada+{n}@example.com") for n in range(8)]
    answers = at_once([apart(lambda user=user: allowance.claim(user, HOME)) for user in users])
    assert answers.count(True) == 1


def test_control_counting_and_then_granting_passes_the_cap(proved):
    """What would happen without the lock of the range's row."""
    gate, passed = threading.Barrier(8), []

    def careless():
        count = AllowanceRange.objects.filter(claims__gte=1).count()
        gate.wait(timeout=30)
        if count < 5:
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO billing_allowancerange VALUES (gen_random_uuid()::text, now(), 1)"
                )
            passed.append(1)

    at_once([apart(careless) for _ in range(8)])
    assert len(passed) > 5
