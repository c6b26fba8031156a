"""Credentials kept for something open, being told of a loss, and who counts as a person."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from allauth.idp.oidc.models import Client, Token
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from accounts import access, families, verbs
from accounts.access import Credential, access_lost, still_valid
from accounts.authentication import HasScope, SignedIn, credential_of
from accounts.models import ApiKey, TokenFamily

pytestmark = pytest.mark.usefixtures("clean_books")

SESSION = "s" * 32


@pytest.fixture
def lost():
    """The ids of the users who were told of."""
    told: list[int] = []

    def hear(user, **_):
        told.append(user)

    access_lost.connect(hear)
    yield told
    access_lost.disconnect(hear)


@pytest.fixture
def client_app(clean_books):
    return Client.objects.create(id="client", type="public", skip_consent=True)


@pytest.fixture
def token(user, client_app):
    def token(kind, mark, **when):
        until = timezone.now() + (timedelta(**when) if when else timedelta(hours=1))
        return Token.objects.create(
            type=kind, hash=mark * 64, user=user, client=client_app, expires_at=until
        )

    return token


@pytest.fixture
def session(user):
    Session.objects.create(
        session_key=SESSION, session_data="", expire_date=timezone.now() + timedelta(hours=1)
    )
    UserSession.objects.create(user=user, session_key=SESSION, ip="127.0.0.1", user_agent="x")
    return Credential("session", SESSION, user.pk)


def of_key(api_key):
    return Credential("key", bytes(api_key.key.digest).hex(), api_key.key.user_id)


def test_a_token_counts_only_for_the_operators_own_clients(user, client_app, token):
    token("at", "a")
    mine = Credential("token", "a" * 64, user.pk)
    assert still_valid(mine)
    Client.objects.update(skip_consent=False)
    assert not still_valid(mine)


def test_each_kind_is_one_query(user, api_key, session, token, django_assert_num_queries):
    token("at", "a")
    for credential in (of_key(api_key), session, Credential("token", "a" * 64, user.pk)):
        with django_assert_num_queries(1):
            assert still_valid(credential)
        stranger = Credential(credential.kind, credential.value, user.pk + 1)
        assert not still_valid(stranger)
        unknown = "0" * len(credential.value)
        assert not still_valid(Credential(credential.kind, unknown, user.pk))


def test_a_credential_does_not_tell_its_value(session):
    assert SESSION not in repr(session)


def test_what_a_token_opened_stays_open_while_its_sign_in_is_renewed(user, token):
    first = [token("at", "a", seconds=-1), token("rt", "b")]
    family = families.found(user=user.pk, client="client", tokens=first)
    opened = Credential("token", "a" * 64, user.pk)
    assert still_valid(opened)
    Token.objects.filter(hash="b" * 64).delete()
    assert not still_valid(opened)
    families.renew(spent="b" * 64, tokens=[token("at", "c"), token("rt", "d")])
    assert still_valid(opened)

    families.end(family.pk)

    assert not still_valid(opened)
    assert TokenFamily.objects.filter(pk=family.pk).exists()


def test_nobody_is_told_of_what_was_rolled_back(user, lost, api_key):
    with transaction.atomic():
        assert verbs.revoke_key(key=api_key.key)
        assert lost == []
        transaction.set_rollback(True)
    assert lost == []
    assert ApiKey.objects.get().is_active

    verbs.revoke_key(key=api_key.key)
    assert lost == [user.pk]
    assert verbs.revoke_key(key=api_key.key) is False
    assert lost == [user.pk]


def test_a_renewal_and_a_new_name_are_no_loss(user, lost, token, api_key):
    token("rt", "a").delete()
    token("at", "b", seconds=-1).delete()
    user.first_name = "Ada"
    user.save(update_fields=["first_name"])
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])
    api_key.key.save()
    assert lost == []

    token("at", "c").delete()
    assert lost == [user.pk]


def test_one_listener_that_breaks_does_not_keep_it_from_the_others(user, lost):
    def breaks(**_):
        raise RuntimeError

    access_lost.connect(breaks)
    try:
        access.end_sign_ins(user.pk)
    finally:
        access_lost.disconnect(breaks)
    assert lost == [user.pk]


def asking(user, auth):
    return SimpleNamespace(user=user, auth=auth, session=SimpleNamespace(session_key=SESSION))


def test_who_counts_as_a_person(user, api_key, session):
    anonymous = SimpleNamespace(is_authenticated=False)
    for auth, person in [(None, True), (session, True), (api_key.key, False)]:
        assert SignedIn().has_permission(asking(user, auth), None) is person
    assert not SignedIn().has_permission(asking(anonymous, None), None)
    assert not SignedIn().has_permission(asking(None, None), None)


class Credits(HasScope):
    scope = "credits"


def test_a_person_may_call_and_read_but_not_move_other_peoples_credits(user, session):
    for auth in (None, session):
        assert HasScope().has_permission(asking(user, auth), None)
        assert not Credits().has_permission(asking(user, auth), None)


def test_what_a_caller_proved_themselves_with(user, api_key, session):
    assert credential_of(asking(user, session)) is session
    assert credential_of(asking(user, api_key.key)) == of_key(api_key)
    assert credential_of(asking(user, None)) == session
