"""The OpenAPI description: valid, without a warning, and about every address there is."""

from io import StringIO

import pytest
import yaml
from django.core.management import call_command

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def schema():
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return yaml.safe_load(out.getvalue())


def test_every_address_is_described(schema):
    expected = {"/api/me", "/api/calls", "/api/calls/{call_id}", "/api/transfers", "/api/usage",
                "/api/plans", "/api/quote", "/api/keys", "/api/keys/{key_id}", "/api/backup",
                "/api/account", "/api/account/export", "/api/ws-ticket",
                "/api/billing/subscription", "/api/billing/invoices", "/api/billing/checkout",
                "/api/billing/credits", "/api/billing/portal", "/api/credits/hold",
                "/api/credits/capture", "/api/credits/release", "/api/credits/spend",
                "/api/credits/refund", "/api/jobs", "/api/jobs/{job_id}",
                "/api/jobs/{job_id}/result", "/api/jobs/webhook-secret"}  # fmt: skip
    assert expected <= set(schema["paths"])


def test_a_job_may_be_a_form_with_a_file(schema):
    content = schema["paths"]["/api/jobs"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    name = content["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    form = schema["components"]["schemas"][name]
    assert form["properties"]["file"]["format"] == "binary"
    assert {"kind", "input", "file"} <= set(form["required"])


def test_either_way_to_present_a_key_is_enough(schema):
    assert schema["paths"]["/api/me"]["get"]["security"] == [
        {"bearerKey": []},
        {"headerKey": []},
        {"accessToken": []},
        {"sessionToken": []},
        {"cookieAuth": []},
    ]
    assert {} in schema["paths"]["/api/plans"]["get"]["security"]


def test_what_takes_a_person_asks_for_no_key(schema):
    found = {
        f"{method} {path}"
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if {} not in operation["security"] and {"bearerKey": []} not in operation["security"]
    }
    assert found == {
        "post /api/keys", "delete /api/keys/{key_id}", "put /api/backup", "delete /api/backup",
        "get /api/account/export", "delete /api/account", "post /api/billing/portal",
        "put /api/billing/top-up", "get /api/jobs/webhook-secret",
        "post /api/jobs/webhook-secret",
    }  # fmt: skip


def test_errors_are_described_in_their_shape(schema):
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if status >= "400":
                    body = response["content"]["application/json"]["schema"]
                    assert body == {"$ref": "#/components/schemas/Error"}, (path, method, status)


def test_every_operation_may_be_too_often(schema):
    """All of DRF's views are throttled."""
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/api/"):
                assert "429" in operation["responses"], (method, path)


def test_amounts_are_strings_of_six_decimals(schema):
    balance = schema["components"]["schemas"]["Balance"]["properties"]
    assert balance["available"]["pattern"] == r"^-?\d+\.\d{6}$"


def test_it_is_served_and_so_are_its_pages(client):
    assert client.get("/api/schema").status_code == 200
    page = client.get("/api/docs")
    assert page.status_code == 200
    html = page.content.decode()
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
