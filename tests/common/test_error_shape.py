"""Whatever goes wrong under /api/, the answer has the error contract's one shape."""

import json

import pytest
from django.test import Client

pytestmark = [pytest.mark.urls("tests.common.raising"), pytest.mark.django_db]

SHAPE = {"message", "type", "param", "code"}


@pytest.fixture
def caller():
    """A client that is answered 500 as anybody would be, instead of being raised at."""
    return Client(raise_request_exception=False)


def error_of(response):
    assert response["content-type"] == "application/json"
    assert response["x-request-id"]
    body = json.loads(response.content)
    assert set(body) == {"error"}
    assert set(body["error"]) == SHAPE
    assert body["error"]["message"]
    assert "secret detail" not in response.content.decode()
    return body["error"]


@pytest.mark.parametrize(
    ("name", "status", "kind", "code"),
    [
        ("http404", 404, "invalid_request_error", "not_found"),
        ("object-missing", 404, "invalid_request_error", "not_found"),
        ("denied", 403, "invalid_request_error", "permission_denied"),
        ("django-validation", 400, "invalid_request_error", "bad_request"),
        ("django-validation-plain", 400, "invalid_request_error", "bad_request"),
        ("suspicious", 400, "invalid_request_error", "bad_request"),
        ("too-big", 413, "invalid_request_error", "request_too_large"),
        ("database", 503, "server_error", "unavailable"),
        ("interface", 503, "server_error", "unavailable"),
        ("throttled", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("auth-failed", 401, "invalid_request_error", "invalid_api_key"),
        ("insufficient", 402, "insufficient_quota", "insufficient_credits"),
        ("conflict", 409, "idempotency_error", "in_progress"),
        ("bug", 500, "server_error", "internal_error"),
    ],
)
def test_every_exception_has_its_status_type_and_code(caller, name, status, kind, code):
    response = caller.get(f"/api/raises/{name}")
    error = error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (status, kind, code)


def test_the_field_at_fault_is_named(caller):
    assert error_of(caller.get("/api/raises/django-validation"))["param"] == "color"
    for body, param in [
        ({"name": "long"}, "name"),
        ({}, "name"),
        ({"name": "ok", "parts": [{"size": 1}, {"size": "x"}]}, "parts.1.size"),
        ({"name": "ok", "parts": 5}, "parts"),
        ({"name": "no"}, None),
    ]:
        response = caller.post("/api/takes", body, content_type="application/json")
        error = error_of(response)
        assert response.status_code == 400
        assert error["param"] == param, error


@pytest.mark.parametrize(
    "body", ["{", "", "[1", '{"name": NaN}', "[" * 100_000, b"\xff\xfe", "5", "null", '"text"']
)
def test_what_is_no_json_object_is_bad_input(caller, body):
    response = caller.post("/api/takes", body, content_type="application/json")
    assert response.status_code == 400
    error_of(response)


def test_retry_after_is_said_and_never_longer_than_a_minute(caller):
    assert caller.get("/api/raises/throttled")["retry-after"] == "8"
    assert caller.get("/api/raises/throttled-long")["retry-after"] == "60"
    assert caller.get("/api/raises/database")["retry-after"] == "5"
    assert caller.get("/api/raises/busy")["retry-after"] == "1"
    assert caller.get("/api/raises/insufficient")["x-should-retry"] == "false"


def test_nobody_known_is_401_with_a_challenge(caller):
    response = caller.get("/api/closed")
    assert response.status_code == 401
    assert response["www-authenticate"].startswith("Bearer")
    assert error_of(response)["code"] == "invalid_api_key"


def test_methods_and_media_types_that_are_not_taken(caller):
    response = caller.delete("/api/takes")
    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
    assert "POST" in response["allow"]
    response = caller.post("/api/takes", "a=1", content_type="application/x-www-form-urlencoded")
    assert (response.status_code, error_of(response)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("accept", ["text/html", "image/png", "nonsense", "text/csv"])
def test_any_accept_header_is_answered_in_json(caller, accept):
    response = caller.get("/api/raises/http404", headers={"accept": accept})
    assert response.status_code == 404
    error_of(response)


def test_an_unforeseen_error_is_logged_whole_and_told_to_nobody(caller, caplog):
    response = caller.get("/api/raises/bug")
    assert error_of(response)["code"] == "internal_error"
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
def test_an_address_that_is_not_there(caller, method):
    response = getattr(caller, method)("/api/no/such/place")
    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


def test_a_view_that_crashes_outside_of_drf(caller):
    response = caller.get("/api/crash")
    assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")
    response = caller.get("/crash")
    assert response.status_code == 500
    assert response["content-type"].startswith("text/html")
    assert b"secret detail" not in response.content
