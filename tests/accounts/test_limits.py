"""Who is counted as whom, and how often they may call."""

import threading
import time
from uuid import uuid4

import pytest
from django.test import Client, RequestFactory

from accounts import keys, limits
from tests.racing import at_once

SIXTY = "60/minute"


def who():
    """Somebody nobody has counted yet."""
    return uuid4().hex


def address(proxies, settings, *, remote="203.0.113.7", forwarded=None):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)
    return str(limits.client_address(request))


# --- The address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forwarded", [None, "", "1.1.1.1", "1.1.1.1, 2.2.2.2", "rubbish", "," * 50]
)
def test_without_proxies_the_header_is_not_looked_at(settings, forwarded):
    assert address(0, settings, forwarded=forwarded) == "203.0.113.7"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "1.1.1.1, 2.2.2.2, 198.51.100.1", "198.51.100.1"),
        (2, "1.1.1.1, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (1, "198.51.100.1:4711", "198.51.100.1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_each_proxy_of_ours_is_counted_from_the_right(settings, proxies, forwarded, expected):
    assert address(proxies, settings, forwarded=forwarded) == expected


@pytest.mark.parametrize(
    "forwarded", [None, "", "1.1.1.1", "rubbish, 10.0.0.2", ", 10.0.0.2", "\x00, 10.0.0.2"]
)
def test_too_few_entries_or_none_that_is_an_address_count_as_the_connection(settings, forwarded):
    assert address(2, settings, forwarded=forwarded) == "203.0.113.7"


def test_a_unix_socket_has_no_address(settings):
    assert address(0, settings, remote="") == "0.0.0.0"


def test_ipv6_counts_by_household():
    one, other = (limits._address(f"2001:db8:1:2:{n}::5") for n in "ab")
    assert limits.network_of(one) == limits.network_of(other) == "2001:db8:1:2::/64"
    assert limits.network_of(limits._address("198.51.100.7")) == "198.51.100.7/32"


@pytest.mark.django_db
@pytest.mark.parametrize("forwarded", ["1.1.1.1", "rubbish, 10.0.0.2", ","])
def test_a_forged_header_does_no_harm_to_sign_in(settings, forwarded):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    sent = {"email": "who@example.com", "password": "wrong horse battery"}
    answer = Client().post(
        "/_allauth/app/v1/auth/login",
        sent,
        content_type="application/json",
        headers={"x-forwarded-for": forwarded},
    )
    assert answer.status_code == 400


# --- Counting ---------------------------------------------------------------------------------


def test_past_the_rate_it_says_for_how_long():
    me = who()
    assert [limits.hit("3/minute", me) for _ in range(3)] == [0, 0, 0]
    assert 1 <= limits.hit("3/minute", me) <= 60
    assert limits.hit("3/minute", who()) == 0


def test_of_many_at_once_exactly_the_rate_passes():
    me = who()
    answers = at_once([lambda: limits.hit("25/minute", me) for _ in range(60)])
    assert answers.count(0) == 25


def test_control_reading_and_then_writing_lets_more_through():
    """What would happen if the count were not kept by one script."""
    store = limits._limiter(_url()).storage.storage
    me, passed, gate = who(), [], threading.Barrier(20)

    def careless():
        count = int(store.get(me) or 0)
        gate.wait(timeout=30)
        if count < 5:
            store.set(me, count + 1, ex=60)
            passed.append(me)

    at_once([careless] * 20)
    assert len(passed) > 5


def _url():
    from django.conf import settings

    return settings.REDIS_URL


def test_without_valkey_everybody_passes_and_the_log_says_so(settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert [limits.hit("1/minute", who()) for _ in range(3)] == [0, 0, 0]
    assert "Valkey is away" in caplog.text


# --- The API ----------------------------------------------------------------------------------


@pytest.fixture
def caller():
    """A client whose address nobody else calls from."""
    number = uuid4().int
    return Client(REMOTE_ADDR=f"2001:db8:{number & 0xFFFF:x}:{number >> 16 & 0xFFFF:x}::1")


@pytest.mark.django_db
def test_one_user_is_counted_whatever_the_key_and_address(settings, api_key, caller):
    settings.API_RATE_USER = f"3/{60 + api_key.key.user_id % 1000} seconds"
    limits._limiter(settings.REDIS_URL).clear(
        limits._parsed(settings.API_RATE_USER), "user", str(api_key.key.user_id)
    )
    sent = {"x-api-key": api_key.secret}
    for number in range(3):
        client = Client(REMOTE_ADDR=f"198.51.100.{number}")
        assert client.get("/api/me", headers=sent).status_code == 200
    refused = caller.get("/api/me", headers=sent)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused["Retry-After"]) <= 60


@pytest.mark.django_db
def test_wrong_credentials_count_against_the_address(settings, caller, api_key):
    settings.API_RATE_ADDRESS = "4/minute"
    kinds = [
        {"x-api-key": keys.new_key()},
        {"authorization": f"Bearer {keys.new_key()}"},
        {"x-session-token": "x" * 32},
        {},
        {"x-api-key": keys.new_key()},
    ]
    answers = [caller.get("/api/me", headers=headers) for headers in kinds]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    # Whoever has a right key is not made to pay for a neighbour's noise.
    assert caller.get("/api/me", headers={"x-api-key": api_key.secret}).status_code == 200


@pytest.mark.django_db
def test_forged_headers_share_a_limit(settings, caller):
    settings.API_RATE_ADDRESS = "4/minute"
    for proxies in (0, 3):
        settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
        statuses = [
            caller.get("/api/me", headers={"x-forwarded-for": f"198.51.100.{n}"}).status_code
            for n in range(6)
        ]
        assert statuses[-1] == 429
    assert statuses == [429] * 6


@pytest.mark.django_db
def test_the_provider_is_limited_by_address_in_its_own_shape(settings, caller):
    settings.API_RATE_ADDRESS = "2/minute"
    sent = {"grant_type": "authorization_code", "code": "guess", "client_id": "nobody"}
    answers = [caller.post("/identity/o/api/token", sent) for _ in range(3)]
    assert [answer.status_code for answer in answers][:2] == [answers[0].status_code] * 2
    assert answers[0].status_code in {400, 401}
    assert answers[2].status_code == 429
    assert set(answers[2].json()) == {"error", "error_description"}
    assert 1 <= int(answers[2]["Retry-After"]) <= 60


# --- Signing in -------------------------------------------------------------------------------


def ask(client, path, body, token=None):
    headers = {"x-session-token": token} if token else {}
    return client.post(
        f"/_allauth/app/v1/{path}", body, content_type="application/json", headers=headers
    )


@pytest.mark.django_db
def test_sign_up_is_limited_by_address_in_allauths_shape(settings, caller):
    from config.people import sign_in_rates

    settings.ACCOUNT_RATE_LIMITS = sign_in_rates(3)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    answers = [
        ask(caller, "auth/signup", {"email": f"{who()}@example.com", "password": "horse battery 7"})
        for _ in range(4)
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].json()["status"] == 429


@pytest.mark.django_db
def test_an_account_is_guarded_however_many_addresses_guess(settings, user):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ALLOWED_HOSTS = ["*"]
    user.set_password("horse battery 7")
    user.save()
    codes = []
    for number in range(7):
        client = Client(REMOTE_ADDR=f"198.51.100.{number}", SERVER_PORT=str(8000 + number))
        sent = {"email": user.email, "password": f"guess number {number}"}
        answer = ask(client, "auth/login", sent)
        codes.append(answer.json()["errors"][0]["code"])
    assert codes == ["email_password_mismatch"] * 5 + ["too_many_login_attempts"] * 2


@pytest.mark.django_db
def test_a_code_takes_three_guesses_and_is_asked_for_three_times_a_minute(settings, user):
    for round in range(4):
        client = Client(REMOTE_ADDR=f"198.51.100.{round}")
        begun = ask(client, "auth/code/request", {"email": user.email})
        if round == 3:
            assert begun.status_code in {400, 429}
            break
        token = begun.json()["meta"]["session_token"]
        guesses = [
            ask(client, "auth/code/confirm", {"code": "BBBB-BBBB"}, token).status_code
            for _ in range(4)
        ]
        assert guesses == [400, 400, 400, 409]


def test_a_code_is_long_enough():
    from allauth.account.adapter import get_adapter

    code = get_adapter().generate_login_code().replace("-", "")
    assert 20 ** len(code) > 10**10


@pytest.mark.django_db
def test_without_valkey_nobody_signs_in(settings, user):
    settings.CACHES = {
        "default": settings.CACHES["default"] | {"LOCATION": "redis://127.0.0.1:1/0"}
    }
    started = time.monotonic()
    answer = ask(Client(), "auth/login", {"email": user.email, "password": "horse battery 7"})
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    sent = {"login": user.email, "password": "horse battery 7"}
    page = Client().post("/accounts/login/", sent)
    assert page.status_code == 503
    assert time.monotonic() - started < 10
