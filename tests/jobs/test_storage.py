"""The storage that is a bucket, by itself: what it does, and how it fails."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.files.base import ContentFile

from jobs.s3 import Bucket
from tests.fakes.s3 import FakeS3

NAME = "jobs/0190a6c2-9f6e-7c31-8e0b-5b7c1f2d3e4f/0-a b+ü.json"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture(scope="module")
def opened(server: FakeS3) -> Iterator[Bucket]:
    bucket = Bucket(**server.options())
    yield bucket
    bucket.close()


@pytest.fixture
def bucket(s3: FakeS3, opened: Bucket) -> Bucket:
    return opened


@pytest.fixture
def s3(server: FakeS3) -> Iterator[FakeS3]:
    yield server
    server.reset()


@pytest.fixture
def open_bucket(s3: FakeS3) -> Iterator[Any]:
    opened: list[Bucket] = []

    def open_bucket(**changes: Any) -> Bucket:
        opened.append(Bucket(**s3.options(**changes)))
        return opened[-1]

    yield open_bucket
    for bucket in opened:
        bucket.close()


def kept(bucket: Bucket, name: str, body: bytes = b"{}") -> str:
    return str(bucket.save(name, ContentFile(body)))


def test_kept_read_listed_and_removed(s3: FakeS3, bucket: Bucket) -> None:
    body = b"x" * 300_000
    assert kept(bucket, NAME, body) == NAME
    assert s3.objects == {NAME: body}
    with bucket.open(NAME) as file:
        assert file.read() == body
    assert (bucket.exists(NAME), bucket.size(NAME)) == (True, len(body))
    bucket.delete(NAME)
    bucket.delete(NAME)  # again: no error
    assert s3.objects == {}
    assert not bucket.exists(NAME)
    with pytest.raises(FileNotFoundError):
        bucket.open(NAME)


def test_what_is_written_again_takes_the_others_place(s3: FakeS3, bucket: Bucket) -> None:
    assert kept(bucket, NAME, b"1") == kept(bucket, NAME, b"2")
    assert s3.objects == {NAME: b"2"}


def test_one_request_for_each(s3: FakeS3, bucket: Bucket) -> None:
    kept(bucket, NAME)
    bucket.open(NAME).close()
    bucket.delete(NAME)
    assert [asked.method for asked in s3.asked] == ["PUT", "GET", "DELETE"]


def test_folders_and_files_of_many_pages(s3: FakeS3, open_bucket: Any) -> None:
    bucket = open_bucket(location="farebox")
    for number in range(5):
        kept(bucket, f"jobs/{number}/0.json")
        kept(bucket, f"jobs/a/{number}.json")
    s3.objects["elsewhere/jobs/b/1.json"] = b""
    assert bucket.listdir("jobs") == (["0", "1", "2", "3", "4", "a"], [])
    assert bucket.listdir("jobs/a") == ([], [f"{number}.json" for number in range(5)])
    assert bucket.listdir("jobs/none") == ([], [])


def test_no_public_address(bucket: Bucket) -> None:
    with pytest.raises(NotImplementedError):
        bucket.url(NAME)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"access_key": "AKIASOMEBODYELSE"}, "InvalidAccessKeyId"),
        ({"secret_key": "another-secret"}, "SignatureDoesNotMatch"),
    ],
)
def test_a_key_that_is_refused(open_bucket: Any, wrong: dict[str, str], code: str) -> None:
    bucket = open_bucket(**wrong)
    for ask in (
        lambda: kept(bucket, NAME),
        lambda: bucket.open(NAME),
        lambda: bucket.listdir("jobs"),
    ):
        with pytest.raises(PermissionError, match=f"{code}.*JOB_FILES_KEY_ID") as refused:
            ask()
        said = str(refused.value) + repr(refused.value) + repr(bucket)
        assert FakeS3.SECRET not in said
        assert "another-secret" not in said
        assert refused.value.__cause__ is None


def test_no_such_bucket(open_bucket: Any) -> None:
    with pytest.raises(OSError, match="no such bucket") as missing:
        open_bucket(bucket_name="others").open(NAME)
    assert not isinstance(missing.value, FileNotFoundError), "it is not the file that is missing"


def test_one_that_fails_is_asked_again_and_then_given_up(s3: FakeS3, bucket: Bucket) -> None:
    s3.status = 503
    with pytest.raises(OSError, match="503"):
        bucket.open(NAME)
    assert len(s3.asked) == 3


def test_one_that_hangs_keeps_nobody_for_long(s3: FakeS3, open_bucket: Any) -> None:
    bucket = open_bucket(read_seconds=0.2)
    s3.hush()
    began = time.monotonic()
    with pytest.raises(OSError, match=r"can't be reached"):
        bucket.open(NAME)
    assert len(s3.asked) == 3
    assert time.monotonic() - began < 30, "far less than the silence lasts"


def test_an_answer_that_breaks_off_is_none(s3: FakeS3, bucket: Bucket) -> None:
    kept(bucket, NAME, b"x" * 1000)
    s3.short = True
    with pytest.raises(OSError, match=r"can't be reached"):
        bucket.open(NAME)


def test_one_that_is_not_there(open_bucket: Any) -> None:
    bucket = open_bucket(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(OSError, match=r"can't be reached"):
        kept(bucket, NAME)
