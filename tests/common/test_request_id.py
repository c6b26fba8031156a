"""Every answer of the Django side carries an id, and what is private is not stored."""

import pytest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/me", "/api/nothing", "/admin/login/"])
def test_every_answer_has_an_id_of_its_own(client, path):
    first, second = (client.get(path)["x-request-id"] for _ in range(2))
    assert first
    assert first != second


def test_an_id_that_was_sent_is_not_taken_over(client):
    sent = "5e0a8f66-0000-7000-8000-000000000000"
    assert client.get("/", headers={"x-request-id": sent})["x-request-id"] != sent


def test_answers_of_the_api_are_not_to_be_stored(client):
    for path in ("/api/me", "/api/plans", "/api/nothing"):
        assert client.get(path)["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/accounts/email/", "/accounts/2fa/", "/accounts/sessions/", "/identity/o/device"]
)
def test_nor_are_pages_of_somebody(client, django_user_model, path):
    client.force_login(django_user_model.objects.create_user("ada@example.com"))
    answer = client.get(path)
    assert answer.status_code == 200
    assert "no-store" in answer["cache-control"]
