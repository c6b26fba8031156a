"""A code may be tried a few times and no more, however many tries are sent at one moment."""

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache

from accounts import tries, verbs
from tests.accounts import people
from tests.racing import at_once

EMAIL = "ada@example.com"
WRONG = "AAA-AAAA"


@pytest.fixture
def ada(clean_books, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return verbs.create_user(email=EMAIL, password=people.PASSWORD)


def waiting(path="auth/code/request", email=EMAIL):
    """The token of a session that waits for a code."""
    answer = people.app(people.visitor(), "POST", path, {"email": email})
    assert answer.status_code == 401
    return answer.json()["meta"]["session_token"]


def confirm(token, code=WRONG):
    return people.app(people.visitor(), "POST", "auth/code/confirm", {"code": code}, token)


def tried_at_once(token, number=24):
    """How many of so many tries at the same moment were looked at."""
    work = [people.apart(lambda: confirm(token).status_code) for _ in range(number)]
    return sum(status == 400 for status in at_once(work))


def test_tries_at_once_are_bounded(ada):
    assert tried_at_once(waiting()) <= tries.MOST


def test_without_the_count_they_are_not(ada, settings):
    """The control: allauth's own count alone. Of some sessions one is enough."""
    settings.MIDDLEWARE = [
        name for name in settings.MIDDLEWARE if name != "accounts.tries.CountedTries"
    ]
    emails = [f"{number}@example.com" for number in range(20)]
    for email in emails:
        verbs.create_user(email=email)
    assert any(tried_at_once(waiting(email=email)) > tries.MOST for email in emails)


@pytest.mark.parametrize(
    ("request_path", "method", "path", "body"),
    [
        ("auth/code/request", "POST", "auth/code/confirm", {"code": WRONG}),
        ("auth/password/request", "POST", "auth/password/reset",
         {"key": WRONG, "password": people.OTHER_PASSWORD}),
    ],
)  # fmt: skip
def test_past_the_bound_a_program_gets_429(ada, request_path, method, path, body):
    token = waiting(request_path)
    (wait,) = tries._waits(SessionStore(token))
    cache.set(f"tries:{token}:{wait}", tries.MOST, 60)
    answer = people.app(people.visitor(), method, path, body, token)
    assert answer.status_code == 429
    assert (
        people.app(people.visitor(), method, path, body, waiting(request_path)).status_code == 400
    )


@pytest.mark.parametrize(
    ("ask", "confirm"),
    [
        ("/accounts/login/code/", "/accounts/login/code/confirm/"),
        ("/accounts/password/reset/", "/accounts/password/reset/confirm/"),
    ],
)
@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_past_the_bound_a_page_says_wait_whoever_it_is(ada, ask, confirm, email):
    browser = people.visitor()
    browser.post(ask, {"email": email})
    session = SessionStore(people.cookie_of(browser))
    (wait,) = tries._waits(session)
    assert browser.post(confirm, {"code": WRONG}).status_code == 200
    cache.set(f"tries:{session.session_key}:{wait}", tries.MOST, 60)
    assert browser.post(confirm, {"code": WRONG}).status_code == 429


def test_the_right_code_still_counts_after_two_wrong_ones(ada):
    token = waiting()
    code = people.code_sent(token)
    assert [confirm(token).status_code for _ in range(2)] == [400, 400]
    assert confirm(token, code).status_code == 200


def test_what_cannot_be_counted_is_refused(ada, settings):
    token = waiting()
    nobody_there = settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {"default": nobody_there}
    assert confirm(token).status_code == 503
