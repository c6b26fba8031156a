"""Whoever leaves for good takes their jobs along: nothing that was asked or answered stays."""

from pathlib import Path

import pytest
from django.db import connection

from accounts.leaving import delete_account, write_export
from jobs.models import Item, Job
from jobs.sweep import forget
from ledger.models import Hold
from ledger.reconcile import reconcile
from tests.fakes.providers import Behaviour, FakeProviders
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider

ASKED, SAID = "what only they may know", "what only they were told "


@pytest.fixture
def asker(configured, rider: Rider, fake: FakeProviders) -> Asker:
    configured.JOB_INLINE_BYTES = 1024
    fake.script(Behaviour(text=SAID))
    return Asker(rider)


def kept() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(jsonb_agg(to_jsonb(i)), '[]')::text FROM jobs_item i")
        return str(cursor.fetchone()[0])


def files(configured) -> list[Path]:
    folder = Path(configured.STORAGES["jobs"]["OPTIONS"]["location"])
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def test_everything_is_deleted_and_every_hold_released(
    hire, configured, asker: Asker, fake: FakeProviders
) -> None:
    hand = hire()
    asker.done(hand, "completion", chat(ASKED))
    fake.script(Behaviour(events=100, text=SAID))
    asker.done(hand, "completion", chat(ASKED))
    fake.script(Behaviour(plain_delay=120))
    asker.make("completion", chat(ASKED))
    hand.wake()
    fake.wait_until(lambda: fake.open == 1, timeout=10)
    configured.JOBS_AT_ONCE = 1  # the next one stays in the queue
    asker.make("completion", chat(ASKED))
    assert (ASKED in kept(), SAID in kept(), len(files(configured))) == (True, True, 1)

    assert delete_account(user=asker.rider.user)
    assert not Job.objects.exists()
    assert not Item.objects.exists()
    assert files(configured) == []
    assert not Hold.objects.filter(state="open").exists()
    fake.wait_until(lambda: fake.open == 0, timeout=10)
    assert reconcile().violations == []


def test_the_export_has_what_is_kept(hire, asker: Asker, tmp_path: Path) -> None:
    job = asker.done(hire(), "completion", chat(ASKED))
    waiting = asker.make("completion", chat(ASKED))
    path = tmp_path / "export.json"
    with path.open("wb") as file:
        write_export(asker.rider.user, file)
    text = path.read_text()
    assert job["id"] in text
    assert waiting["id"] in text
    assert SAID.strip() in text
    assert ASKED in text
    asker.cancel(waiting["id"])


def test_what_ended_long_ago_is_forgotten(
    hire, configured, asker: Asker, fake: FakeProviders
) -> None:
    hand = hire()
    fake.script(Behaviour(events=100, text=SAID))
    old = asker.done(hand, "completion", chat())["id"]
    new = asker.done(hand, "completion", chat())["id"]
    assert forget() == 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET finished = finished - interval '72 hours' WHERE id = %s", [old]
        )
    assert forget() == 1
    assert [str(job) for job in Job.objects.values_list("id", flat=True)] == [new]
    assert len(files(configured)) == 1
    assert asker.get(f"/api/jobs/{old}").status_code == 404
    assert len(asker.rider.calls()) == 2, "the receipts stay"
