"""How somebody signs in, in the admin: what staff see of it, and what they can do about it."""

import re
from datetime import timedelta
from html import unescape

import pytest
from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Client, Token
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Permission
from django.core import mail
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts import extensions, families, rescue, verbs
from accounts.models import User
from tests.accounts import people
from tests.admin_pages import token_on

EXTENSION = "abcdefghijklmnopabcdefghijklmnop"
pytestmark = pytest.mark.django_db


def page_of(user):
    return f"/admin/accounts/user/{user.pk}/"


@pytest.fixture
def rider(user, settings):
    """Signed in with a browser and an extension; with an app, recovery codes and a linked account;
    and every secret of it."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    user.set_password(people.PASSWORD)
    user.save()
    verbs.vouch_for(user=user)
    browser = people.browser(user.email)
    client = Client.objects.get(pk=EXTENSION)
    token = Token.objects.create(
        user=user, client=client, type=Token.Type.ACCESS_TOKEN, hash="a1" * 32, data={},
        expires_at=timezone.now() + timedelta(minutes=15),
    )  # fmt: skip
    families.found(user=user.pk, client=EXTENSION, tokens=[token])
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    RecoveryCodes.activate(user)
    SocialAccount.objects.create(user=user, provider="github", uid="4711")
    user.browser = browser
    user.secrets = [
        browser.session.session_key, token.hash, secret,
        *(factor.data.get("secret") or factor.data["seed"]
          for factor in Authenticator.objects.filter(user=user)),
    ]  # fmt: skip
    return user


def confirmed(admin, path, **sent):
    sent |= {"token": token_on(admin, path), "reason": "they called", "confirmed": "1"}
    return admin.post(path, sent, follow=True)


def test_staff_see_how_somebody_signs_in_and_no_secret(admin, rider):
    html = admin.get(f"{page_of(rider)}change/").content.decode()
    for shown in ("verified", "GitHub", "4711", "Authenticator app", "Recovery codes", EXTENSION):
        assert shown in html
    assert UserSession.objects.get(user=rider).ip in html
    assert len(rider.secrets) == 5
    assert [secret for secret in rider.secrets if secret in html] == []


@pytest.mark.parametrize(
    "model",
    [
        "account_emailaddress", "socialaccount_socialaccount", "socialaccount_socialapp",
        "socialaccount_socialtoken", "mfa_authenticator", "usersessions_usersession",
        "allauth_idp_oidc_token",
    ],
)  # fmt: skip
def test_allauths_own_pages_with_their_secrets_are_gone(model):
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:{model}_changelist")


def test_signing_somebody_out_everywhere(admin, rider, api_key):
    assert rider.browser.get("/dashboard/keys/").status_code == 200
    answer = confirmed(admin, f"{page_of(rider)}sign-out/")
    assert "Signed rider@example.com out everywhere" in answer.content.decode()
    assert rider.browser.get("/dashboard/keys/").status_code == 302
    assert not Token.objects.filter(user=rider).exists()
    api_key.key.refresh_from_db()
    assert api_key.key.is_active


def test_resetting_second_factors_ends_sign_ins_and_tells_the_owner(
    admin, rider, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        answer = confirmed(admin, f"{page_of(rider)}reset-factors/")
    assert "Reset the second factors of rider@example.com" in answer.content.decode()
    assert not Authenticator.objects.filter(user=rider).exists()
    assert not UserSession.objects.filter(user=rider).exists()


def test_the_last_factor_of_staff_can_be_reset_by_somebody_else_alone(admin, settings):
    boss = User.objects.create_superuser("boss2@example.com", people.PASSWORD)
    TOTP.activate(boss, generate_totp_secret())
    confirmed(admin, f"{page_of(boss)}reset-factors/")
    assert not Authenticator.objects.filter(user=boss).exists()

    me = User.objects.get(pk=admin.session["_auth_user_id"])
    TOTP.activate(me, generate_totp_secret())
    answer = confirmed(admin, f"{page_of(me)}reset-factors/")
    assert "on your account" in answer.content.decode()
    assert Authenticator.objects.filter(user=me).exists()


@pytest.fixture
def clerk(client):
    """Staff who may change users, and no more."""
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    for name in ("view_user", "change_user"):
        clerk.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(clerk)
    return client


@pytest.mark.parametrize("act", ["sign-out", "reset-factors"])
def test_staff_do_this_to_users_and_not_to_each_other(clerk, user, act):
    colleague = User.objects.create_user("colleague@example.com", is_staff=True)
    assert clerk.get(f"{page_of(colleague)}{act}/").status_code == 403
    assert clerk.get(f"{page_of(user)}{act}/").status_code == 200


def test_staff_change_neither_address_nor_password_of_each_other(clerk):
    colleague = User.objects.create_user("colleague@example.com", is_staff=True)
    sent = {"email": "mine@example.com", "is_active": "on"}
    assert clerk.post(f"{page_of(colleague)}change/", sent).status_code == 403
    assert clerk.get(f"{page_of(colleague)}password/").status_code == 403


def test_another_address_is_the_only_one_and_the_old_one_is_told(
    admin, user, django_capture_on_commit_callbacks
):
    verbs.vouch_for(user=user)
    with django_capture_on_commit_callbacks(execute=True):
        admin.post(
            f"{page_of(user)}change/",
            {"email": "New@Example.com", "is_active": "on"} | management_forms(admin, user),
        )
    user.refresh_from_db()
    assert user.email == "new@example.com"
    found = EmailAddress.objects.filter(user=user).values_list("email", "verified", "primary")
    assert list(found) == [("new@example.com", True, True)]


def test_an_address_that_somebody_else_has_verified_is_refused(admin, user):
    other = verbs.create_user(email="other@example.com")
    EmailAddress.objects.create(user=other, email="second@example.com", verified=True)
    sent = {"email": "second@example.com", "is_active": "on"} | management_forms(admin, user)
    answer = admin.post(f"{page_of(user)}change/", sent)
    assert "Another account has this address" in answer.content.decode()
    user.refresh_from_db()
    assert user.email == "rider@example.com"


def test_whom_the_admin_makes_can_sign_in_at_once(admin):
    sent = {"email": "made@example.com", "usable_password": "false"}
    admin.post("/admin/accounts/user/add/", sent)
    assert EmailAddress.objects.filter(email="made@example.com", verified=True).exists()


def management_forms(admin, user):
    html = admin.get(f"{page_of(user)}change/").content.decode()
    return dict(re.findall(r'name="([\w-]+-(?:TOTAL|INITIAL)_FORMS)" value="(\d+)"', html))


CLIENTS = "/admin/allauth_idp_oidc/client/"
NEW_CLIENT = {
    "name": "Desk", "type": "confidential", "scopes": "openid", "default_scopes": "",
    "grant_types": "authorization_code", "response_types": "code",
    "redirect_uris": "https://desk.example.com/cb", "cors_origins": "",
}  # fmt: skip


def test_a_clients_secret_is_shown_once(admin):
    html = admin.post(f"{CLIENTS}add/", NEW_CLIENT, follow=True).content.decode()
    client = Client.objects.get(name="Desk")
    secret = unescape(re.search(r'<input readonly[^>]* value="([^"]+)"', html)[1])
    assert client.check_secret(secret)
    page = admin.get(f"{CLIENTS}{client.pk}/change/").content.decode()
    assert secret not in page
    assert client.secret not in page
    assert client.secret not in html


def test_a_public_client_has_no_secret(admin):
    html = admin.post(f"{CLIENTS}add/", NEW_CLIENT | {"type": "public"}, follow=True)
    assert Client.objects.get(name="Desk").secret == "!"
    assert "secret is only shown once" not in html.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("redirect_uris", "https://*.example.com/cb"),
        ("redirect_uris", "desk"),
        ("cors_origins", "https://desk.example.com/path"),
        ("grant_types", "password"),
        ("response_types", "anything"),
    ],
)
def test_a_client_that_is_too_wide_or_wrong_is_refused(admin, field, value):
    answer = admin.post(f"{CLIENTS}add/", NEW_CLIENT | {field: value})
    assert answer.status_code == 200
    assert value in answer.content.decode()
    assert not Client.objects.filter(name="Desk").exists()


def test_the_setting_alone_changes_an_extension(admin, settings):
    settings.EXTENSION_IDS = [EXTENSION]
    extensions.sync()
    assert admin.get(f"{CLIENTS}{EXTENSION}/change/").status_code == 200
    assert admin.post(f"{CLIENTS}{EXTENSION}/change/", NEW_CLIENT).status_code == 403
    assert admin.post(f"{CLIENTS}{EXTENSION}/delete/", {"post": "yes"}).status_code == 403


def test_clients_are_for_superusers(client):
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    for name in ("view_client", "change_client", "view_user"):
        clerk.user_permissions.add(Permission.objects.get(codename=name))
    client.force_login(clerk)
    assert client.get(CLIENTS).status_code == 403
    assert CLIENTS not in client.get("/admin/accounts/user/").content.decode()


def test_who_is_told_of_what_staff_did(user, django_capture_on_commit_callbacks, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    boss = User.objects.create_superuser("boss@example.com", people.PASSWORD)
    TOTP.activate(user, generate_totp_secret())
    with django_capture_on_commit_callbacks(execute=True):
        rescue.reset_second_factors(user=user, actor=boss)
        rescue.change_email(user=user, old="old@example.com")
    assert [(sent.to, sent.subject) for sent in mail.outbox] == [
        (["rider@example.com"], "Your second factors were removed"),
        (["old@example.com"], "Your account has another e-mail address"),
    ]
