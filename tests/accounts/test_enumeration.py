"""Nobody learns from an answer whether an address has an account.

Each question is asked once about an address that has an account and once about one that has none,
by strangers who are alike in all else; the answers are compared field by field.
"""

import json
import re
import statistics
import time

import pytest
from allauth.account.models import EmailAddress

from accounts import verbs
from accounts.models import User
from tests.accounts import people

pytestmark = pytest.mark.django_db

KNOWN, UNKNOWN = "known-one@example.com", "other-one@example.com"  # of one length
UNVERIFIED = "third-one@example.com"
PASSWORD, WRONG = people.PASSWORD, people.OTHER_PASSWORD
# What differs from one answer to the next, whoever asks.
CHANGING = re.compile(
    r'(name="csrfmiddlewaretoken" value=)"[^"]*"|("session_token": ?)"[^"]*"|nonce="[^"]*"'
)


@pytest.fixture(autouse=True)
def _people(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    verbs.create_user(email=KNOWN, password=PASSWORD)
    squatter = User.objects.create_user(UNVERIFIED, PASSWORD)
    EmailAddress.objects.create(user=squatter, email=UNVERIFIED, primary=True, verified=False)


def seen(answer, email, *, cookies=()):
    """All that the one who asked can see of an answer."""
    body = CHANGING.sub(r"\1\2", answer.content.decode()).replace(email, "E")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers.pop("x-request-id")
    headers.pop("content-length", None)  # the same bodies, but for what was put aside above
    headers["expires"] = "expires" in headers  # a moment of the answer
    headers["location"] = headers.get("location", "").replace(email, "E")
    jar = {
        name: (bool(morsel.value), morsel["max-age"], morsel["path"], morsel["samesite"])
        for name, morsel in answer.cookies.items()
    }
    return {"status": answer.status_code, "headers": headers, "body": body, "cookies": jar}


def ask_app(path, body):
    return lambda email: people.app(
        people.visitor(), "POST", path, {name: value or email for name, value in body.items()}
    )


def ask_page(path, body):
    return lambda email: people.visitor().post(
        path, {name: value or email for name, value in body.items()}
    )


QUESTIONS = {
    "app: sign up": ask_app("auth/signup", {"email": "", "password": PASSWORD}),
    "app: sign up with a weak password": ask_app("auth/signup", {"email": "", "password": "x"}),
    "app: log in": ask_app("auth/login", {"email": "", "password": WRONG}),
    "app: code": ask_app("auth/code/request", {"email": ""}),
    "app: reset": ask_app("auth/password/request", {"email": ""}),
    "page: sign up": ask_page("/accounts/signup/", {"email": "", "password1": PASSWORD}),
    "page: log in": ask_page("/accounts/login/", {"login": "", "password": WRONG}),
    "page: code": ask_page("/accounts/login/code/", {"email": ""}),
    "page: reset": ask_page("/accounts/password/reset/", {"email": ""}),
    "page: passkey sign up": ask_page("/accounts/signup/passkey/", {"email": ""}),
}


@pytest.mark.parametrize("question", QUESTIONS, ids=list(QUESTIONS))
@pytest.mark.parametrize("known", [KNOWN, UNVERIFIED])
def test_known_and_unknown_are_answered_alike(question, known):
    ask = QUESTIONS[question]
    assert seen(ask(known), known) == seen(ask(UNKNOWN), UNKNOWN)


def walk(email, begin, pages):
    """Begin, then look at further pages with the same cookies."""
    client = people.visitor()
    first = client.post(begin[0], {name: value or email for name, value in begin[1].items()})
    found = [seen(first, email)]
    for method, path, body in pages:
        found.append(seen(getattr(client, method)(path, body), email))
    return found


@pytest.mark.parametrize(
    ("begin", "code_page"),
    [
        (
            ("/accounts/signup/", {"email": "", "password1": PASSWORD}),
            "/accounts/confirm-email/",
        ),
        (("/accounts/login/code/", {"email": ""}), "/accounts/login/code/confirm/"),
        (
            ("/accounts/password/reset/", {"email": ""}),
            "",
        ),
    ],
    ids=["sign up", "code", "reset"],
)
def test_the_pages_that_ask_for_the_code_are_alike_too(begin, code_page):
    steps = [
        ("get", code_page, {}),
        ("post", code_page, {"code": "BBBB-BBBB"}),
        ("post", code_page, {"code": "BBBB-BBBB", "action": "change", "email": "z@example.com"}),
        ("post", code_page, {"code": "BBBB-BBBB"}),
        ("get", code_page, {}),
    ]
    answers = [walk(email, begin, steps) for email in (KNOWN, UNKNOWN)]
    assert answers[0] == answers[1]
    assert answers[0][1]["status"] == 200, "the page was reached at all"


@pytest.mark.parametrize(
    ("path", "body", "confirm", "guess"),
    [
        ("auth/signup", {"email": "", "password": PASSWORD}, "auth/email/verify", "key"),
        ("auth/code/request", {"email": ""}, "auth/code/confirm", "code"),
        ("auth/password/request", {"email": ""}, "auth/password/reset", "key"),
    ],
)
def test_wrong_codes_are_answered_alike(path, body, confirm, guess):
    def walk(email):
        client = people.visitor()
        begun = people.app(client, "POST", path, {n: v or email for n, v in body.items()})
        token = begun.json()["meta"]["session_token"]
        found = [seen(begun, email)]
        for _ in range(4):
            sent = {guess: "BBBB-BBBB"} | ({"password": WRONG} if "reset" in confirm else {})
            found.append(seen(people.app(client, "POST", confirm, sent, token), email))
            found.append(seen(people.app(client, "GET", "auth/session", token=token), email))
        return found

    assert walk(KNOWN) == walk(UNKNOWN)


def test_an_address_to_change_to_is_answered_alike(user):
    user.set_password(PASSWORD)
    user.save()

    def change(email):
        token = people.session_token(user.email)
        client = people.visitor()
        sent = {"password": PASSWORD}
        people.app(client, "POST", "auth/reauthenticate", sent, token)
        answer = people.app(client, "POST", "account/email", {"email": email}, token)
        assert answer.status_code in {200, 403}, answer.content
        return seen(answer, email) | {
            "list": people.app(client, "GET", "account/email", token=token)
            .content.decode()
            .replace(email, "E")
        }

    assert change(KNOWN) == change(UNKNOWN)


def test_on_the_page_too(user):
    user.set_password(PASSWORD)
    user.save()

    def change(email):
        browser = people.browser(user.email)
        browser.post("/accounts/reauthenticate/", {"password": PASSWORD})
        answer = browser.post("/accounts/email/", {"action_add": "", "email": email})
        return [seen(answer, email), seen(browser.get("/accounts/email/"), email)]

    assert change(KNOWN) == change(UNKNOWN)


# --- What only the owner of the mailbox sees --------------------------------------------------


def test_the_mail_says_what_the_answer_does_not(mailoutbox):
    for email in (KNOWN, UNKNOWN):
        QUESTIONS["app: sign up"](email)
    assert [mail.to for mail in mailoutbox] == [[KNOWN], [UNKNOWN]]
    assert "already" in mailoutbox[0].subject.lower() + mailoutbox[0].body.lower()
    assert User.objects.filter(email=UNKNOWN).exists()


@pytest.mark.parametrize("question", ["app: code", "app: reset", "app: sign up"])
def test_each_question_sends_one_mail_either_way(question, mailoutbox):
    for email in (KNOWN, UNKNOWN):
        QUESTIONS[question](email)
    assert [mail.to for mail in mailoutbox] == [[KNOWN], [UNKNOWN]]


def test_limits_fall_alike():
    def until_refused(email):
        return [QUESTIONS["app: log in"](email).json()["errors"][0]["code"] for _ in range(7)]

    assert until_refused(KNOWN) == until_refused(UNKNOWN)
    ask = QUESTIONS["app: code"]
    assert [ask(KNOWN).status_code for _ in range(5)] == [
        ask(UNKNOWN).status_code for _ in range(5)
    ]


# --- Time -------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["app: log in", "app: sign up"])
def test_an_unknown_address_costs_a_password_hash_too(question, settings):
    """With a hash that takes its time, as in production: an answer without one would show. The
    time is the processor's, so that a busy machine makes no difference."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    known = User.objects.get(email=KNOWN)
    known.set_password(PASSWORD)
    known.save()

    def seconds(email):
        settings.ACCOUNT_RATE_LIMITS = False
        started = time.thread_time()
        QUESTIONS[question](email)
        return time.thread_time() - started

    seconds(KNOWN)
    pairs = [(seconds(KNOWN), seconds(f"nobody{n}@example.com")) for n in range(5)]
    known_s, unknown_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    started = time.thread_time()
    known.check_password(WRONG)
    hash_s = time.thread_time() - started
    assert abs(known_s - unknown_s) < 0.5 * hash_s, json.dumps([known_s, unknown_s, hash_s])
