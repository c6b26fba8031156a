"""Once a day what has ended is removed, and nothing else."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import extensions, tasks
from accounts.models import FamilyToken, TokenFamily, User
from accounts.verbs import create_user, issue_key
from config.schedule import SCHEDULE
from ledger import verbs as ledger
from ledger.models import Grant
from tests.accounts import people
from tests.accounts.people import PASSWORD

pytestmark = pytest.mark.django_db
AGO = timedelta(days=90)
NOTHING = {"sessions": 0, "listed": 0, "tokens": 0, "sign_ups": 0}


@pytest.fixture
def signed_in(settings):
    """Two browsers and an extension of one user."""
    settings.EXTENSION_IDS = [people.EXTENSION]
    extensions.sync()
    create_user(email="ada@example.com", password=PASSWORD)
    browsers = [people.browser("ada@example.com") for _ in range(2)]
    people.extension_tokens(browsers[0])
    return browsers


def test_what_stands_stays(signed_in):
    assert tasks.tidy() == NOTHING
    assert [browser.get("/dashboard/").status_code for browser in signed_in] == [200, 200]
    assert Token.objects.count() == 2


def test_what_has_ended_goes(signed_in):
    stays, goes = signed_in
    now = timezone.now()
    Session.objects.filter(pk=people.cookie_of(goes)).update(expire_date=now - AGO)
    UserSession.objects.update(created_at=now - AGO)
    TokenFamily.objects.update(created_at=now - AGO)
    Token.objects.update(expires_at=now - AGO)
    FamilyToken.objects.update(expires_at=now - AGO)
    done = tasks.tidy()
    assert (done["sessions"], done["listed"]) == (1, 1)
    assert UserSession.objects.get().session_key == people.cookie_of(stays)
    assert not Token.objects.exists()
    assert not TokenFamily.objects.exists()
    assert not FamilyToken.objects.exists()
    assert tasks.tidy() == NOTHING


def test_a_session_that_is_being_signed_in_is_left_alone(signed_in):
    """Its row is in the list a moment before or after the session itself is saved."""
    Session.objects.filter(pk=people.cookie_of(signed_in[1])).delete()
    UserSession.objects.create(
        user=UserSession.objects.first().user, ip="127.0.0.1", session_key="new", user_agent=""
    )
    tasks.tidy()
    assert UserSession.objects.filter(session_key="new").exists()


def test_the_clock_runs_it():
    assert SCHEDULE["tidy"]["task"] == tasks.tidy.name


# --- What never became a sign-in ---------------------------------------------------------------


def test_a_session_that_waits_for_a_code_goes_after_a_day(signed_in, settings):
    people.visitor().post("/accounts/login/code/", {"email": "ada@example.com"})
    (waiting,) = Session.objects.exclude(
        pk__in=[people.cookie_of(browser) for browser in signed_in]
    )
    assert "ada@example.com" in str(waiting.get_decoded())
    saved_before(waiting, timedelta(hours=23), settings)
    assert tasks.tidy() == NOTHING

    saved_before(waiting, timedelta(hours=25), settings)
    assert tasks.tidy() == NOTHING | {"sessions": 1}
    assert not Session.objects.filter(pk=waiting.pk).exists()


def test_a_sign_in_of_last_week_stays(signed_in, settings):
    for session in Session.objects.all():
        saved_before(session, timedelta(days=8), settings)
    assert tasks.tidy() == NOTHING
    assert [browser.get("/dashboard/").status_code for browser in signed_in] == [200, 200]


def saved_before(session, ago, settings):
    ends = timezone.now() - ago + timedelta(seconds=settings.SESSION_COOKIE_AGE)
    Session.objects.filter(pk=session.pk).update(expire_date=ends)


# --- Sign-ups that nobody verified -------------------------------------------------------------


def signed_up(email, **changes):
    """A sign-up by the page, eight days ago."""
    people.visitor().post("/accounts/signup/", {"email": email, "password1": PASSWORD})
    User.objects.filter(email=email).update(
        date_joined=timezone.now() - timedelta(days=8), **changes
    )
    return User.objects.get(email=email)


def test_a_sign_up_that_nobody_verified_goes_after_a_week():
    old, new = signed_up("old@example.com"), signed_up("new@example.com")
    User.objects.filter(pk=new.pk).update(date_joined=timezone.now() - timedelta(days=6))
    assert tasks.tidy() == NOTHING | {"sign_ups": 1}
    assert not User.objects.filter(pk=old.pk).exists()
    assert not EmailAddress.objects.filter(email="old@example.com").exists()
    assert User.objects.filter(pk=new.pk).exists()


def verified(user):
    EmailAddress.objects.filter(user=user).update(verified=True)


def with_another_verified(user):
    EmailAddress.objects.create(user=user, email="second@example.com", verified=True)


def with_money(user):
    ledger.grant(
        account=ledger.wallet_of(user=user.pk), amount=1, kind=Grant.Kind.PROMOTION, key="gift"
    )


def with_a_key(user):
    issue_key(user=user, name="laptop")


def was_in(user):
    User.objects.filter(pk=user.pk).update(last_login=timezone.now())


def is_staff(user):
    User.objects.filter(pk=user.pk).update(is_staff=True)


def made_by_the_operator(user):
    EmailAddress.objects.filter(user=user).delete()


def disabled(user):
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.mark.parametrize(
    "something",
    [verified, with_another_verified, with_money, with_a_key, was_in, is_staff,
     made_by_the_operator, disabled],
)  # fmt: skip
def test_who_has_anything_stays(something):
    user = signed_up("ada@example.com")
    something(user)
    assert tasks.tidy() == NOTHING
    assert User.objects.filter(pk=user.pk).exists()
