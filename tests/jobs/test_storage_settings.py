"""Where results are kept, by the settings: a folder, or a bucket."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.jobs import storage

SECRET = "s3cr3t/with+signs="
NAMES = ("", "_REGION", "_ENDPOINT", "_KEY_ID", "_SECRET")


@pytest.fixture
def given(monkeypatch: Any) -> Any:
    """The storage that these settings make."""

    def given(**values: str) -> Any:
        for name in NAMES:
            monkeypatch.delenv(f"JOB_FILES{name}", raising=False)
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        return storage("/srv/files")

    return given


def test_a_folder(given: Any) -> None:
    folder = "django.core.files.storage.FileSystemStorage"
    assert given() == {"BACKEND": folder, "OPTIONS": {"location": "/srv/files"}}
    assert given(JOB_FILES="/mnt/x")["OPTIONS"] == {"location": "/mnt/x"}


def test_a_bucket_of_amazons(given: Any) -> None:
    made = given(JOB_FILES="s3://my-results", JOB_FILES_REGION="eu-central-1")
    assert made == {
        "BACKEND": "jobs.s3.Bucket",
        "OPTIONS": {
            "bucket_name": "my-results",
            "location": "",
            "region_name": "eu-central-1",
            "endpoint_url": None,
            "access_key": None,
            "secret_key": None,
        },
    }


def test_a_bucket_of_another_storage(given: Any) -> None:
    options = given(
        JOB_FILES="s3://results/farebox/prod/",
        JOB_FILES_ENDPOINT="https://s3.example.com/",
        JOB_FILES_KEY_ID="AKIA1",
        JOB_FILES_SECRET=SECRET,
    )["OPTIONS"]
    assert (options["bucket_name"], options["location"]) == ("results", "farebox/prod")
    assert (options["endpoint_url"], options["region_name"]) == (
        "https://s3.example.com",
        "us-east-1",
    )
    assert (options["access_key"], options["secret_key"]) == ("AKIA1", SECRET)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"JOB_FILES": f"s3://AKIA1:{SECRET}@results"}, "JOB_FILES"),
        ({"JOB_FILES": "s3://"}, "JOB_FILES"),
        ({"JOB_FILES": "s3://UPPER"}, "JOB_FILES"),
        ({"JOB_FILES": "s3://results/../others"}, "JOB_FILES"),
        ({"JOB_FILES": "s3://results?region=x"}, "JOB_FILES"),
        ({"JOB_FILES": "gs://results"}, "JOB_FILES"),
        ({"JOB_FILES": "s3://results", "JOB_FILES_KEY_ID": "AKIA1"}, "JOB_FILES_SECRET"),
        ({"JOB_FILES": "s3://results", "JOB_FILES_SECRET": SECRET}, "JOB_FILES_KEY_ID"),
        ({"JOB_FILES": "s3://results", "JOB_FILES_ENDPOINT": "s3.local"}, "JOB_FILES_ENDPOINT"),
        (
            {"JOB_FILES": "s3://results", "JOB_FILES_ENDPOINT": "http://10.0.0.1:9000"},
            "JOB_FILES_ENDPOINT",
        ),
        ({"JOB_FILES_SECRET": SECRET}, "JOB_FILES_SECRET"),
        ({"JOB_FILES": "/srv/x", "JOB_FILES_REGION": "eu-central-1"}, "JOB_FILES_REGION"),
    ],
)
def test_what_makes_none(given: Any, values: dict[str, str], name: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        given(**values)
    assert str(refused.value).startswith(f"{name}: ")
    assert SECRET not in str(refused.value)
