"""Throw-away mail domains are refused, wherever an address is given."""

import pytest

from accounts import disposable, verbs
from tests.accounts import people

PASSWORD = people.PASSWORD
THROWN_AWAY = "x@mailinator.com"


@pytest.fixture(autouse=True)
def _quick(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.mark.parametrize(
    ("email", "refused"),
    [
        ("x@mailinator.com", True),
        ("x@MAILINATOR.com", True),
        ("x@deep.under.mailinator.com", True),
        ("x@mailinator.com.", True),
        ("x@mailinator.com.example", False),
        ("x@gmail.com", False),
        ("x@example.com", False),
        ("x@com", False),
        ("", False),
        ("x@münchen.example", False),
        ("x@" + "a" * 70 + ".example", False),
    ],
)
def test_a_domain_and_what_is_below_it(email, refused):
    assert disposable.is_refused(email) is refused


def test_the_operator_adds_and_takes_out(settings):
    settings.BLOCKED_EMAIL_DOMAINS = frozenset({"rival.example"})
    settings.UNBLOCKED_EMAIL_DOMAINS = frozenset({"ours.mailinator.com"})
    assert disposable.is_refused("x@mail.rival.example")
    assert not disposable.is_refused("x@ours.mailinator.com")
    assert disposable.is_refused(THROWN_AWAY)
    settings.BLOCK_DISPOSABLE_EMAIL = False
    assert not disposable.is_refused(THROWN_AWAY)
    assert disposable.is_refused("x@rival.example")


@pytest.mark.django_db
def test_sign_up_says_what_to_do(settings):
    sent = {"email": THROWN_AWAY, "password": PASSWORD}
    answer = people.app(people.visitor(), "POST", "auth/signup", sent)
    assert answer.status_code == 400
    [error] = answer.json()["errors"]
    assert (error["param"], error["message"]) == ("email", disposable.REFUSED)
    page = people.visitor().post("/accounts/signup/", {"email": THROWN_AWAY, "password1": PASSWORD})
    assert page.status_code == 200
    assert "thrown away" in page.content.decode()
    settings.BLOCK_DISPOSABLE_EMAIL = False
    assert people.app(people.visitor(), "POST", "auth/signup", sent).status_code == 401


@pytest.mark.django_db
def test_it_tells_nobody_whether_there_is_an_account():
    verbs.create_user(email=THROWN_AWAY)
    answers = [
        people.app(people.visitor(), "POST", "auth/signup", {"email": email, "password": PASSWORD})
        for email in (THROWN_AWAY, "y@mailinator.com")
    ]
    assert answers[0].status_code == answers[1].status_code == 400
    assert answers[0].content == answers[1].content


@pytest.mark.django_db
def test_e_mail_change_refuses_it_too(user):
    user.set_password(PASSWORD)
    user.save()
    token = people.session_token(user.email)
    client = people.visitor()
    answer = people.app(client, "POST", "account/email", {"email": THROWN_AWAY}, token)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"] == disposable.REFUSED
    browser = people.browser(user.email)
    page = browser.post("/accounts/email/", {"action_add": "", "email": THROWN_AWAY})
    assert "thrown away" in page.content.decode()


@pytest.mark.django_db
def test_whoever_has_an_account_there_keeps_the_way_back_in(mailoutbox):
    verbs.create_user(email=THROWN_AWAY, password=PASSWORD)
    answer = people.app(people.visitor(), "POST", "auth/password/request", {"email": THROWN_AWAY})
    assert answer.status_code == 401
    assert [mail.to for mail in mailoutbox] == [[THROWN_AWAY]]
    people.visitor().post("/accounts/password/reset/", {"email": THROWN_AWAY})
    assert len(mailoutbox) == 2
    assert people.session_token(THROWN_AWAY)
