"""Jobs whose large results are in a bucket: kept, read and removed there, whatever it does."""

import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection

from accounts.leaving import delete_account
from common.ids import uuid7
from jobs import sweep
from jobs.models import Item, Job
from jobs.sweep import YOUNG
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.fakes.s3 import FakeS3
from tests.jobs.asking import Asker, chat
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for

LONG = Behaviour(events=40, text="word " * 20, usage=Usage(input=30))


@pytest.fixture(scope="module")
def server() -> Iterator[FakeS3]:
    with FakeS3() as server:
        yield server


@pytest.fixture
def s3(server: FakeS3, configured: Any, fake: FakeProviders) -> Iterator[FakeS3]:
    """Results of more than a kilobyte go there; the provider's are of several."""
    use(configured, server)
    configured.JOB_INLINE_BYTES = 1024
    fake.script(LONG)
    yield server
    server.reset()
    storages["jobs"].close()  # type: ignore[attr-defined]


def use(configured: Any, server: FakeS3, **changes: Any) -> None:
    bucket = {"BACKEND": "jobs.s3.Bucket", "OPTIONS": server.options(**changes)}
    configured.STORAGES = configured.STORAGES | {"jobs": bucket}


@pytest.fixture
def asker(s3: FakeS3, rider: Rider) -> Asker:
    return Asker(rider)


def age(job: str, hours: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET finished = finished - make_interval(hours => %s) WHERE id = %s",
            [hours, job],
        )


def test_a_result_is_kept_and_read_there_and_goes_with_its_job(
    hire, s3: FakeS3, asker: Asker
) -> None:
    hand = hire()
    old, new = (asker.done(hand, "completion", chat()) for _ in range(2))
    assert (old["state"], old["result"]) == ("done", None)
    found = asker.get(old["result_url"])
    assert found.json()["choices"][0]["message"]["content"].startswith("word word")
    assert found.headers["content-type"] == "application/json"
    assert {key.split("/")[1] for key in s3.objects} == {old["id"], new["id"]}

    age(old["id"], 72)
    assert sweep.forget() == 1
    assert {key.split("/")[1] for key in s3.objects} == {new["id"]}
    assert delete_account(user=asker.rider.user)
    assert s3.objects == {}


def test_away_while_a_result_is_kept(
    hire, s3: FakeS3, fake: FakeProviders, asker: Asker, caplog: Any
) -> None:
    """The job is tried again and paid for once; the first answer is the operator's loss."""
    s3.status = 503
    hand = hire()
    made = asker.make("completion", chat())
    hand.wake()
    wait_for(
        lambda: Item.objects.get().absorbed and asker.job(made["id"])["state"] == "queued",
        30,
        "the job waits for its next attempt",
    )
    assert asker.rider.spent == 0
    assert "a result can't be stored" in caplog.text
    s3.status = 0
    job = asker.ended(made["id"], 30)
    assert job["state"] == "done", job
    assert asker.get(job["result_url"]).status_code == 200
    price = microcredits("gpt-4o-mini", input=30, output=40)
    call = asker.rider.only_call()
    assert (asker.rider.spent, call.spent) == (price, price)
    assert call.cost == len(fake.requests) * price
    billed = fake.bill()
    assert microcredits("gpt-4o-mini", input=billed.input, output=billed.output) == call.cost


def test_away_for_good(hire, configured: Any, s3: FakeS3, asker: Asker) -> None:
    configured.JOB_ATTEMPTS = 2
    s3.status = 500
    job = asker.done(hire(), "completion", chat())
    assert (job["state"], job["error"]["code"]) == ("failed", "unavailable")
    assert (asker.rider.spent, asker.rider.held) == (0, 0)


def test_away_while_a_result_is_read(hire, s3: FakeS3, asker: Asker) -> None:
    job = asker.done(hire(), "completion", chat())
    s3.status = 503
    refused = asker.get(job["result_url"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert "try again" in refused.json()["error"]["message"]
    assert int(refused.headers["retry-after"]) > 0
    assert asker.job(job["id"])["state"] == "done", "the rest goes without it"
    s3.status = 0
    assert asker.get(job["result_url"]).status_code == 200


def test_silent_while_a_result_is_kept(hire, configured: Any, s3: FakeS3, asker: Asker) -> None:
    """Other jobs go on meanwhile; the one it is about is done when the storage is back."""
    use(configured, s3, read_seconds=0.2)
    hand = hire()
    s3.hush()
    made = asker.make("completion", chat())
    hand.wake()
    wait_for(lambda: s3.asked, 20, "the storage is asked")
    assert asker.done(hand, "noop")["state"] == "done"
    wait_for(lambda: Item.objects.get().absorbed, 30, "the worker has given up waiting")
    s3.speak()
    assert asker.ended(made["id"], 30)["state"] == "done"


def test_a_wrong_key_says_so_in_the_log(
    hire, configured: Any, s3: FakeS3, asker: Asker, caplog: Any
) -> None:
    configured.JOB_ATTEMPTS = 1
    use(configured, s3, secret_key="not-the-right-secret")
    caplog.set_level(logging.INFO)
    job = asker.done(hire(), "completion", chat())
    assert job["state"] == "failed"
    assert "JOB_FILES_KEY_ID" not in job["error"]["message"], "that is the operator's"
    assert "The storage refuses the key (SignatureDoesNotMatch)" in caplog.text
    assert "JOB_FILES_KEY_ID" in caplog.text
    assert "not-the-right-secret" not in caplog.text
    assert s3.objects == {}


def test_what_could_not_be_removed_is_removed_later(hire, s3: FakeS3, asker: Asker) -> None:
    old = asker.done(hire(), "completion", chat())["id"]
    age(old, 72)
    s3.status = 503
    assert sweep.forget() == 1, "nobody can read it any more"
    assert not Job.objects.exists()
    s3.status = 0
    assert len(s3.objects) == 1
    assert sweep.remove_strays() == 0, "a job that is being made has no row yet"
    (name,) = s3.objects
    s3.objects[name.replace(old, str(aged(uuid.UUID(old))))] = s3.objects.pop(name)
    assert sweep.remove_strays() == 1
    assert s3.objects == {}


def test_files_of_jobs_that_are_kept_are_no_strays(s3: FakeS3, asker: Asker) -> None:
    made = asker.make("noop")["id"]
    old = aged(uuid.UUID(made))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET id = %s WHERE id = %s", [old, made])
    for folder in (old, aged(uuid7()), "not-ours"):
        storages["jobs"].save(f"jobs/{folder}/0.json", ContentFile(b"{}"))
    assert sweep.remove_strays() == 1
    assert sorted(key.split("/")[1] for key in s3.objects) == [str(old), "not-ours"]
    asker.cancel(str(old))


def test_an_account_goes_while_the_storage_is_away(hire, s3: FakeS3, asker: Asker) -> None:
    asker.done(hire(), "completion", chat())
    s3.status = 503
    assert delete_account(user=asker.rider.user)
    assert not Job.objects.exists()
    s3.status = 0
    (name,) = s3.objects
    folder = name.split("/")[1]
    s3.objects[name.replace(folder, str(aged(uuid.UUID(folder))))] = s3.objects.pop(name)
    assert sweep.remove_strays() == 1
    assert s3.objects == {}


def aged(job: uuid.UUID) -> uuid.UUID:
    """The id it would have, had it been made before the sweep looks for strays."""
    milliseconds = int((YOUNG + timedelta(minutes=1)).total_seconds() * 1000)
    return uuid.UUID(int=job.int - (milliseconds << 80))
