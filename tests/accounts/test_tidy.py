"""Once a day what has ended is removed, and nothing else."""

from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import extensions, tasks
from accounts.models import FamilyToken, TokenFamily
from accounts.verbs import create_user
from config.schedule import SCHEDULE
from tests.accounts import people
from tests.accounts.people import PASSWORD

pytestmark = pytest.mark.django_db
AGO = timedelta(days=90)


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
    assert tasks.tidy() == {"sessions": 0, "listed": 0, "tokens": 0}
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
    assert tasks.tidy() == {"sessions": 0, "listed": 0, "tokens": 0}


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
