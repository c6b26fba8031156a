"""usage_begin for somebody who is signed in, in place of a key; and what it does not wait for."""

from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Client, Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts.keys import digest
from accounts.models import ApiKey, User
from ledger.models import Hold
from tests.ledger.books import balance
from tests.usage.begun import begin, finish, months
from usage.models import Call, MonthlyUsage

pytestmark = pytest.mark.usefixtures("proved")

SESSION = "s" * 32
TOKEN = "a" * 64


def sign_in(user):
    """An access token and a session, as allauth keeps them."""
    later = timezone.now() + timedelta(hours=1)
    ours = Client.objects.create(id="ours", type="public", skip_consent=True)
    Token.objects.create(type="at", hash=TOKEN, user=user, client=ours, expires_at=later)
    Session.objects.create(session_key=SESSION, session_data="", expire_date=later)
    UserSession.objects.create(user=user, session_key=SESSION, ip="127.0.0.1", user_agent="x")


@pytest.mark.parametrize("by", [{"token": TOKEN}, {"session": SESSION}])
def test_somebody_signed_in_begins_without_a_key(by, user, wallet, fund, api_key):
    fund(wallet, 1000)
    sign_in(user)
    ApiKey.objects.update(monthly_cap=0)

    begun = begin(**by)

    assert (begun.outcome, begun.held) == ("ok", 50)
    hold = Hold.objects.get(pk=begun.call)
    assert (hold.metadata["user"], hold.metadata["key"]) == (user.pk, None)
    finish(begun.call, 30)
    assert Call.objects.get().api_key is None
    assert ApiKey.objects.get().last_used_at is None
    assert MonthlyUsage.objects.get().api_key_id is None


def end_session(user):
    UserSession.objects.all().delete()


def end_django_session(user):
    Session.objects.all().delete()


def expire_session(user):
    Session.objects.update(expire_date=timezone.now())


def expire_token(user):
    Token.objects.update(expires_at=timezone.now())


def make_it_a_refresh_token(user):
    Token.objects.update(type="rt")


def disable_user(user):
    User.objects.update(is_active=False)


def change_password(user):
    user.set_password("another")
    user.save()


@pytest.mark.parametrize(
    ("close", "by"),
    [
        (end_session, {"session": SESSION}),
        (end_django_session, {"session": SESSION}),
        (expire_session, {"session": SESSION}),
        (disable_user, {"session": SESSION}),
        (change_password, {"session": SESSION}),
        (expire_token, {"token": TOKEN}),
        (make_it_a_refresh_token, {"token": TOKEN}),
        (disable_user, {"token": TOKEN}),
        (change_password, {"token": TOKEN}),
    ],
)
def test_a_sign_in_that_has_ended_begins_nothing(close, by, user, wallet, fund):
    fund(wallet, 1000)
    sign_in(user)

    close(user)

    assert begin(**by).outcome == "signed_out"
    assert balance(wallet) == (1000, 0, 0)
    assert months(user) == []


def test_a_sign_in_of_nobody(user):
    assert begin(token=TOKEN).outcome == "signed_out"
    assert begin(session=SESSION).outcome == "signed_out"


def test_a_key_goes_before_a_sign_in_and_is_not_made_good_by_it(user, wallet, fund, api_key):
    fund(wallet, 1000)
    sign_in(user)

    assert begin(digest=b"?" * 32, token=TOKEN, session=SESSION).outcome == "invalid_key"


def test_a_session_is_seen_to_the_minute_and_nobody_is_waited_for(user, wallet, fund, connect):
    fund(wallet, 1000)
    sign_in(user)
    first = UserSession.objects.get().last_seen_at
    begin(session=SESSION)
    assert UserSession.objects.get().last_seen_at == first
    UserSession.objects.update(last_seen_at=first - timedelta(seconds=61))
    ending = connect(autocommit=False)
    ending.execute("SELECT FROM usersessions_usersession FOR UPDATE")

    assert begin(session=SESSION).outcome == "ok"
    assert UserSession.objects.get().last_seen_at < first
    ending.rollback()
    assert begin(session=SESSION).outcome == "ok"
    assert UserSession.objects.get().last_seen_at > first


def test_a_key_that_is_being_revoked_is_not_waited_for(user, wallet, fund, api_key, connect):
    fund(wallet, 1000)
    revoking = connect(autocommit=False)
    revoking.execute("UPDATE accounts_apikey SET revoked_at = now()")

    assert begin(digest=digest(api_key.secret)).outcome == "ok"
    revoking.commit()
    assert begin(digest=digest(api_key.secret)).outcome == "invalid_key"
