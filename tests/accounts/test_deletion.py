"""Leaving for good: all access ends, nothing personal is left in any table, the books are whole."""

import json

import pytest
from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.core import mail
from django.db.models.signals import pre_save
from django.test import Client

from accounts import access, extensions, keys, leaving
from accounts import verbs as accounts
from accounts.models import ApiKey, Backup, User
from billing.models import Entitlement
from common.errors import PermissionRefused
from ledger import sweep, verbs
from ledger.models import Transfer
from ledger.reconcile import reconcile
from tests.accounts import history, people
from tests.accounts.history import BLOB, EMAIL, found_anywhere
from tests.ledger.books import balance, lots, query, total
from tests.racing import at_once
from tests.usage import calls
from usage.models import Call, MonthlyUsage

PATH = "/api/account"


@pytest.fixture
def ada(proved, settings, admin):
    settings.EXTENSION_IDS = [people.EXTENSION]
    extensions.sync()
    return history.with_everything(admin)


def leave(person, confirm=EMAIL):
    return Client().delete(
        PATH,
        json.dumps({"confirm": confirm}),
        content_type="application/json",
        headers={"authorization": f"Bearer {person.tokens['access_token']}"},
    )


def test_no_trace_is_left_in_any_table(ada):
    for word in ada.traces:  # the search finds what is there
        assert found_anywhere(word), word
    assert found_anywhere(BLOB.decode())

    assert leave(ada).status_code == 204

    for word in [*ada.traces, BLOB.decode()]:
        assert found_anywhere(word) == [], word
    assert not query("SELECT FROM accounts_apikey WHERE digest = %s", keys.digest(ada.key.secret))
    assert reconcile().violations == []


def test_every_way_in_is_closed(ada):
    assert leave(ada).status_code == 204

    ways = {
        "key": {"x-api-key": ada.key.secret},
        "token": {"authorization": f"Bearer {ada.tokens['access_token']}"},
        "session": {"x-session-token": ada.session_token},
    }
    for name, headers in ways.items():
        assert Client().get("/api/me", headers=headers).status_code == 401, name
    assert ada.browser.get("/api/me").status_code == 401
    renewed = people.ask_token(people.renewal(ada.tokens["refresh_token"]))
    assert renewed.status_code == 400
    again = people.visitor().post("/accounts/login/", {"login": EMAIL, "password": people.PASSWORD})
    assert again.status_code == 200  # the form again, with an error


def test_the_tombstone_keeps_its_id_and_nothing_else(ada):
    leave(ada)

    user = User.objects.get(pk=ada.user.pk)
    assert user.email == f"deleted-{user.pk}@deleted.invalid"
    assert (user.first_name, user.last_name, user.last_login) == ("", "", None)
    assert user.password.startswith(UNUSABLE_PASSWORD_PREFIX)
    assert not user.is_active
    assert {key.name for key in ApiKey.objects.filter(user=user)} == {"deleted"}
    assert not ApiKey.objects.filter(user=user, revoked_at=None).exists()
    assert not Backup.objects.exists()
    assert not Entitlement.objects.exists()
    assert not Token.objects.filter(user=user).exists()
    assert not EmailAddress.objects.filter(user=user).exists()


def test_calls_and_months_and_the_books_stay(ada):
    before = Call.objects.filter(user=ada.user).count(), MonthlyUsage.objects.count()
    transfers = set(Transfer.objects.values_list("id", flat=True))
    revenue = total("revenue")
    left = balance(ada.wallet)[0]

    leave(ada)

    assert (Call.objects.filter(user=ada.user).count(), MonthlyUsage.objects.count()) == before
    assert transfers < set(Transfer.objects.values_list("id", flat=True))
    assert balance(ada.wallet) == (0, 0, 0)
    assert total("expired") == left > 0
    assert total("revenue") == revenue


def test_open_calls_are_settled_afterwards(ada):
    paid, given_up = (calls.begin(ada.user, held=50_000) for _ in range(2))
    assert leave(ada).status_code == 204
    assert balance(ada.wallet)[:2] == (100_000, 100_000)

    calls.finish(paid, charge=20_000)
    calls.finish(given_up, status="failed", charge=0)
    sweep.expire_lots()

    assert Call.objects.get(pk=paid).spent == 20_000
    assert Call.objects.get(pk=paid).user == ada.user
    assert balance(ada.wallet) == (0, 0, 0)
    for word in ada.traces:
        assert found_anywhere(word) == [], word


def test_others_keep_all_they_have(ada, user, api_key, wallet, fund):
    """Also who has an address that the other's is a part of, in what staff wrote of them."""
    fund(wallet, 5_000)
    longer = accounts.create_user(email=f"x{EMAIL}")
    staff = User.objects.get(email="staff@example.com")
    LogEntry.objects.log_actions(
        staff.pk, [longer], 2, change_message=f"x{EMAIL} and {EMAIL}m: hello", single_object=True
    )
    browser = Client()
    browser.force_login(user)

    leave(ada)

    assert balance(wallet)[0] == 5_000
    assert browser.get("/api/me").json()["email"] == user.email
    assert Client().get("/api/me", headers={"x-api-key": api_key.secret}).status_code == 200
    entry = LogEntry.objects.latest("id")
    assert (entry.object_repr, entry.change_message) == (
        f"x{EMAIL}",
        f"x{EMAIL} and {EMAIL}m: hello",
    )


def test_the_admins_history_says_what_was_done_but_not_to_whom(ada):
    leave(ada)

    own = LogEntry.objects.filter(object_id=str(ada.user.pk), content_type__model="user")
    granted = own.get(change_message__startswith="Granted")
    assert "0.300000 credits to deleted" in granted.change_message
    assert granted.change_message.endswith("goodwill")
    assert {entry.object_repr for entry in own} == {"deleted"}


def test_a_goodbye_goes_to_the_old_address(ada):
    mail.outbox.clear()
    leave(ada)
    assert [sent.to for sent in mail.outbox] == [[EMAIL]]


def test_the_same_address_is_a_new_account(ada):
    leave(ada)
    again = accounts.create_user(email=EMAIL, password=people.PASSWORD)
    me = people.browser(EMAIL).get("/api/me").json()
    assert again.pk != ada.user.pk
    assert me["balance"]["posted"] == "0.000000"
    assert me["month"]["requests"] == 0


def test_twice_is_once(ada):
    assert leaving.delete_account(user=ada.user)
    assert not leaving.delete_account(user=ada.user)
    assert leave(ada).status_code == 401


def test_at_once_it_happens_once(ada):
    mail.outbox.clear()
    lots_left = lots(ada.wallet)
    done = at_once([people.apart(lambda: leaving.delete_account(user=ada.user))] * 4)
    assert sorted(done) == [False, False, False, True]
    assert Transfer.objects.filter(kind="expire").count() == len(lots_left)
    assert len(mail.outbox) == 1


def test_while_calls_begin_and_finish(ada):
    """Whoever comes first, nobody waits for the other in a circle, and nothing is stranded."""
    opened = [calls.begin(ada.user, held=1_000) for _ in range(16)]

    def finisher(part):
        def finish():
            for call in part:
                calls.finish(call, charge=300)

        return people.apart(finish)

    def leaver():
        return leaving.delete_account(user=ada.user)

    at_once([*(finisher(opened[n::4]) for n in range(4)), people.apart(leaver)])
    sweep.expire_lots()

    assert Call.objects.filter(pk__in=opened, user=ada.user, spent=300).count() == 16
    assert balance(ada.wallet) == (0, 0, 0)


@pytest.mark.parametrize("role", ["is_staff", "is_superuser"])
def test_staff_are_not_deleted(ada, role):
    User.objects.filter(pk=ada.user.pk).update(**{role: True})
    response = leave(ada)
    assert response.status_code == 403
    assert "superuser" in response.json()["error"]["message"]
    with pytest.raises(PermissionRefused):
        leaving.delete_account(user=ada.user)
    assert balance(ada.wallet)[0] > 0


@pytest.mark.parametrize("confirm", ["", "other@example.com", None, 5, "x" * 300])
def test_the_address_must_be_typed(ada, confirm):
    response = leave(ada, confirm)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "confirm"
    assert User.objects.get(pk=ada.user.pk).is_active


def test_case_and_blanks_of_the_typed_address_do_not_matter(ada):
    assert leave(ada, f" {EMAIL.upper()} ").status_code == 204


def test_a_payment_that_crosses_with_it_is_not_stranded(proved, admin):
    """Somebody without a wallet leaves; what comes in afterwards leaves again."""
    user = accounts.create_user(email=EMAIL)
    leaving.delete_account(user=user)
    wallet = verbs.wallet_of(user=user.pk)
    verbs.grant(account=wallet, amount=500, kind="purchase", key="late")
    sweep.expire_lots()
    assert balance(wallet) == (0, 0, 0)


def test_a_tombstones_address_that_somebody_took_is_no_obstacle(proved):
    user = accounts.create_user(email=EMAIL)
    squatter = accounts.create_user(email=f"deleted-{user.pk}@deleted.invalid")
    assert leaving.delete_account(user=user)
    user.refresh_from_db()
    assert user.email != squatter.email
    assert leaving.is_deleted(user)


# --- Sign-ins beside it --------------------------------------------------------------------------


def test_sessions_that_wait_with_the_address_end_with_it(ada):
    """Somebody asked for a code, or began to sign up, and went no further."""
    for path, body in (
        ("auth/code/request", {"email": EMAIL}),
        ("auth/password/request", {"email": EMAIL}),
        ("auth/signup", {"email": EMAIL, "password": people.PASSWORD}),
        ("auth/code/request", {"email": "grace@example.com"}),
    ):
        assert people.app(people.visitor(), "POST", path, body).status_code == 401, path

    assert leave(ada).status_code == 204

    held = [str(session.get_decoded()) for session in Session.objects.all()]
    assert not [text for text in held if EMAIL in text]
    assert [text for text in held if "grace@example.com" in text]


@pytest.fixture
def overtaken(proved):
    """Logs somebody in; the account is deleted when the password has been found right."""
    user = accounts.create_user(email=EMAIL, password=people.PASSWORD)

    def leave_now(**_):
        at_once([people.apart(lambda: leaving.delete_account(user=user))])

    def log_in():
        user_logged_in.connect(leave_now)
        try:
            body = {"email": EMAIL, "password": people.PASSWORD}
            return people.app(people.visitor(), "POST", "auth/login", body)
        finally:
            user_logged_in.disconnect(leave_now)

    return user, log_in


def test_a_log_in_that_a_deletion_overtakes_is_none(overtaken):
    user, log_in = overtaken
    assert log_in().status_code == 410
    assert leaving.is_deleted(User.objects.get(pk=user.pk))
    assert not UserSession.objects.exists()
    for session in Session.objects.all():  # what is left of it opens nothing, and goes in a day
        headers = {"x-session-token": session.session_key}
        assert Client().get("/api/me", headers=headers).status_code == 401


def test_without_the_look_at_the_user_it_would_be_listed(overtaken):
    """The control."""
    user, log_in = overtaken
    pre_save.disconnect(sender=UserSession, dispatch_uid="access:listed")
    try:
        log_in()
    finally:
        access.watch()
    assert UserSession.objects.filter(user=user).exists()
