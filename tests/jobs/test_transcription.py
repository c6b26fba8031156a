"""Transcriptions as jobs: the file is kept while it is needed, sent to each provider that is tried,
and paid for by the provider's count of sound and of text."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

import jobs.creating
import jobs.sweep
from accounts.leaving import delete_account
from accounts.models import User
from common.errors import Conflict
from common.ids import uuid7
from common.money import format_credits
from jobs import retrying, uploads
from jobs.admin import cancel as cancel_as_staff
from jobs.models import Item, Job
from ledger.models import Hold
from tests.fakes.providers import Behaviour, FakeProviders, Usage
from tests.fakes.providers.transcription_shapes import SentForm, parse
from tests.jobs.sounds import MODEL, PRICE, SAID, SOUND, SOUNDS, TEXT, Talker, wav
from tests.jobs.test_leases import claim, start
from tests.proxy.fleet import put_back
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for
from usage.models import AIModel, ModelRoute, Provider
from usage.sync import set_price

HEARD = Behaviour(events=4, usage=Usage(input=3, audio=20))
COST = 3 * TEXT + 20 * SOUND + 4 * SAID


@pytest.fixture
def talker(configured: Any, rider: Rider) -> Iterator[Talker]:
    """With the model as staff add it, with a price of its own for sound."""
    with put_back():
        model = AIModel.objects.create(
            name=MODEL, provider="openai", protocol="openai", override=PRICE
        )
        set_price(model, {}, (), "")
        jobs.creating.forget_models()
        yield Talker(rider)
    jobs.creating.forget_models()


@pytest.fixture
def folder(configured: Any) -> Path:
    return Path(configured.STORAGES["jobs"]["OPTIONS"]["location"]) / uploads.FOLDER


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def forms(fake: FakeProviders) -> list[SentForm]:
    return [parse(one.body, one.headers) for one in fake.requests]


def billed(fake: FakeProviders) -> int:
    """The provider's own bill, microcredits."""
    bill = fake.bill()
    return bill.input * TEXT + bill.audio * SOUND + bill.output * SAID


def test_a_file_is_kept_sent_paid_for_and_gone(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(HEARD)
    sound = wav(3)
    made = talker.said(sound, language="en", prompt="fares, boxes", temperature=0.5)
    assert (made["kind"], made["state"]) == ("transcription", "queued")
    assert kept(folder) == [made["id"]]
    hire().wake()
    job = talker.ended(made["id"])
    assert (job["state"], job["spent"]) == ("done", format_credits(COST)), job
    assert job["result"]["text"] == "word " * 4
    (form,) = forms(fake)
    assert (form.file, form.name) == (sound, "audio.wav")
    assert form.fields == {
        "model": MODEL, "language": "en", "prompt": "fares, boxes", "temperature": "0.5",
    }  # fmt: skip
    assert fake.requests[0].path == "/v1/audio/transcriptions"
    call = talker.rider.only_call()
    assert (call.protocol, call.input_tokens, call.output_tokens) == ("transcription", 23, 4)
    assert (call.spent, call.cost, call.estimated) == (COST, COST, False)
    assert billed(fake) == talker.rider.spent == COST
    assert Item.objects.get().input is None
    wait_for(lambda: kept(folder) == [], 20, "the file is gone with what was asked")


def test_the_bytes_tell_the_kind(hire, fake: FakeProviders, talker: Talker) -> None:
    fake.script(HEARD)
    made = [talker.said(sound)["id"] for sound in SOUNDS.values()]
    hire().wake()
    assert {talker.ended(job)["state"] for job in made} == {"done"}
    sent = {form.file: form.name for form in forms(fake)}
    assert sent == {sound: f"audio.{kind.split()[0]}" for kind, sound in SOUNDS.items()}
    assert talker.rider.spent == billed(fake) == len(SOUNDS) * COST


@pytest.mark.parametrize(
    ("sound", "tokens"),
    [
        (wav(10), 11 * 20),  # its head's bytes count as another second
        (wav(10, rate=16_000), 11 * 20),
        (SOUNDS["mp3"] + bytes(9_000), 10 * 20),
        (SOUNDS["ogg"], 16_000),
        (SOUNDS["webm"], 16_000),
        (wav(2_000, rate=1_000), 16_000),
        (wav(10).replace(b"\x40\x1f\0\0", b"\x01\0\0\0"), 16_000),  # one sample a second
    ],
    ids=["WAV", "WAV of a higher rate", "MP3", "Ogg", "WebM", "long", "slow"],
)
def test_what_is_held_covers_the_longest_it_may_play(
    talker: Talker, sound: bytes, tokens: int
) -> None:
    job = talker.said(sound)
    rest = talker.rider.held - tokens * SOUND - 2_000 * SAID
    if tokens == 16_000:
        assert rest == 0, "never more than the model takes"
    else:
        assert 0 <= rest < 1_200 * SOUND
    talker.cancel(job["id"])


def test_a_length_that_is_a_lie_is_not_believed(talker: Talker) -> None:
    """The head says one byte of samples, and there are ten seconds."""
    true = wav(10)
    place = true.index(b"data") + 4
    lie = true[:place] + b"\x01\0\0\0" + true[place + 4 :]
    first = talker.said(true)
    held = talker.rider.held
    talker.cancel(first["id"])
    second = talker.said(lie)
    assert talker.rider.held == held
    talker.cancel(second["id"])


def test_without_usage_it_is_estimated_as_sound(hire, fake: FakeProviders, talker: Talker) -> None:
    fake.script(Behaviour(events=4, usage=Usage(input=3, audio=20), report_usage=False))
    job = talker.said(wav(9))
    hire().wake()
    assert talker.ended(job["id"])["state"] == "done"
    call = talker.rider.only_call()
    assert call.estimated
    assert 100 * SOUND < call.spent < 100 * SOUND + 50 * SAID


def test_each_attempt_sends_the_file_again(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(HEARD)
    fake.once(*[Behaviour(status=503, retry_after="1")] * 2)
    job = talker.said()
    hire().wake()
    assert talker.ended(job["id"])["state"] == "done"
    assert [form.file for form in forms(fake)] == [wav()] * 3
    assert billed(fake) == talker.rider.spent == COST
    wait_for(lambda: kept(folder) == [], 20, "the file is gone")


def test_another_provider_gets_the_file_under_its_own_name_of_the_model(
    hire, configured: Any, fake: FakeProviders, talker: Talker
) -> None:
    secret = "sk-of-the-second-provider"
    fake.take_key(secret)
    configured.PROVIDER_API_KEYS = {"SECOND_API_KEY": secret}
    second = Provider.objects.create(name="second", kind="openai", base_url=fake.openai_base_url)
    second.keys.create(label="its key", weight=1, env="SECOND_API_KEY")
    model = AIModel.objects.get(name=MODEL)
    routes = [(Provider.objects.get(name="openai"), ""), (second, "their-transcribe")]
    for place, (provider, there) in enumerate(routes):
        ModelRoute.objects.create(
            model=model, provider=provider, upstream_name=there, position=place
        )
    fake.script(HEARD)
    fake.once(Behaviour(status=500))
    job = talker.said(prompt="fares")
    hire().wake()
    assert talker.ended(job["id"])["state"] == "done"
    asked, answered = forms(fake)
    assert asked.file == answered.file == wav()
    assert (asked.fields["model"], answered.fields["model"]) == (MODEL, "their-transcribe")
    assert answered.fields["prompt"] == "fares"
    assert talker.rider.only_call().provider == "second"
    assert billed(fake) == talker.rider.spent == COST


def test_what_the_provider_refuses_costs_nothing(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(Behaviour(status=400, message="Audio file might be corrupted."))
    job = talker.said()
    hire().wake()
    ended = talker.ended(job["id"])
    assert (ended["state"], ended["spent"]) == ("failed", "0.000000")
    assert "corrupted" in ended["error"]["message"]
    assert (len(fake.requests), billed(fake), talker.rider.spent) == (1, 0, 0)


def test_one_that_failed_is_retried_with_the_same_file(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(Behaviour(status=400, message="Audio file might be corrupted."))
    first = talker.said(prompt="fares")["id"]
    hand = hire()
    hand.wake()
    assert talker.ended(first)["state"] == "failed"
    assert kept(folder) == [first]
    fake.script(HEARD)
    second = str(retrying.retry(Job.objects.get(pk=first)).job)
    assert kept(folder) == sorted([first, second])
    hand.wake()
    assert talker.ended(second)["state"] == "done"
    asked, again = forms(fake)
    assert (asked.fields, asked.file) == (again.fields, again.file)
    assert billed(fake) == talker.rider.spent == COST
    wait_for(lambda: kept(folder) == [first], 20, "the retry's own file is gone")


def test_one_whose_file_is_gone_is_not_retried(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(Behaviour(status=400))
    job = talker.said()["id"]
    hire().wake()
    assert talker.ended(job)["state"] == "failed"
    (folder / job).unlink()
    with pytest.raises(Conflict, match="not kept any more"):
        retrying.retry(Job.objects.get(pk=job))
    assert (Job.objects.count(), talker.rider.held, kept(folder)) == (1, 0, [])


def test_after_a_worker_died_the_kept_file_is_used(
    hire, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(HEARD)
    job = talker.said()["id"]
    (dead,) = claim()
    assert start(dead) is not None
    let_the_lease_run_out(UUID(job))
    assert jobs.sweep.sweep() == 1
    assert kept(folder) == [job]
    hire().wake()
    assert talker.ended(job)["state"] == "done"
    (form,) = forms(fake)
    assert form.file == wav()
    call = talker.rider.only_call()
    assert (call.spent, call.cost) == (COST, 2 * COST), "the lost attempt is the operator's"
    wait_for(lambda: kept(folder) == [], 20, "the file is gone")


def let_the_lease_run_out(job: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET lease_until = clock_timestamp() - interval '1 second'"
            " WHERE id = %s",
            [job],
        )


def test_the_file_of_one_that_failed_goes_when_it_is_forgotten(
    configured: Any, talker: Talker, folder: Path
) -> None:
    job = UUID(talker.said()["id"])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_job SET deadline = clock_timestamp()")
    assert jobs.sweep.sweep() == 1
    assert Job.objects.get(pk=job).state == "failed"
    assert (kept(folder), talker.rider.spent, talker.rider.held) == ([str(job)], 0, 0)
    long_ago = uuid7().int - (int(timedelta(hours=80).total_seconds() * 1000) << 80)
    (folder / str(job)).rename(folder / str(UUID(int=long_ago)))  # ids tell when they were made
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET finished = finished - interval '80 hours' WHERE id = %s", [job]
        )
    assert jobs.sweep.forget() == 1
    assert kept(folder) == []


def test_a_storage_that_is_away_for_a_while(
    hire, configured: Any, fake: FakeProviders, talker: Talker, folder: Path, tmp_path: Path
) -> None:
    """A folder in the file's place is no file that can be read."""
    configured.JOB_ATTEMPTS = 50
    fake.script(HEARD)
    job = talker.said()["id"]
    (folder / job).rename(tmp_path / "aside")
    (folder / job).mkdir()
    hire().wake()
    wait_for(lambda: Job.objects.get(pk=job).attempts >= 2, 30, "it was tried again")
    assert fake.requests == []
    (folder / job).rmdir()
    (tmp_path / "aside").rename(folder / job)
    assert talker.ended(job)["state"] == "done"
    assert billed(fake) == talker.rider.spent == COST


def test_a_file_that_is_gone(hire, fake: FakeProviders, talker: Talker, folder: Path) -> None:
    job = talker.said()["id"]
    (folder / job).unlink()
    hire().wake()
    ended = talker.ended(job)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "not_found")
    assert (fake.requests, talker.rider.spent, talker.rider.held) == ([], 0, 0)


def test_canceled_in_the_queue(hire, fake: FakeProviders, talker: Talker, folder: Path) -> None:
    job = talker.said()["id"]
    assert talker.cancel(job)["state"] == "canceled"
    assert (kept(folder), talker.rider.held) == ([], 0)
    talker.done(hire(), "noop")
    assert fake.requests == []


def test_canceled_while_it_runs(hire, fake: FakeProviders, talker: Talker, folder: Path) -> None:
    fake.script(Behaviour(plain_delay=120))
    job = talker.said()["id"]
    hire().wake()
    fake.wait_until(lambda: fake.open == 1, timeout=20)
    assert kept(folder) == [job]
    talker.cancel(job)
    assert talker.ended(job)["state"] == "canceled"
    fake.wait_until(lambda: fake.open == 0, timeout=20)
    assert (talker.rider.spent, talker.rider.held) == (0, 0)
    wait_for(lambda: kept(folder) == [], 20, "the file is gone")


@pytest.mark.parametrize("room", [20_000, 100_000], ids=["of one", "the control, of both"])
def test_a_worker_has_so_many_files_in_memory(
    hire, fake: FakeProviders, talker: Talker, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """What waits for room can be canceled as anything else."""
    monkeypatch.setattr(uploads, "ROOM_BYTES", room)
    fake.script(Behaviour(plain_delay=120))
    hand = hire()
    first = talker.said()["id"]
    hand.wake()
    fake.wait_until(lambda: fake.open == 1, timeout=20)
    second = talker.said()["id"]
    hand.wake()
    wait_for(lambda: Item.objects.get(job=second).state == "running", 20, "it is begun")
    if room == 100_000:
        fake.wait_until(lambda: fake.open == 2, timeout=20)
    talker.cancel(second)
    assert talker.ended(second)["state"] == "canceled"
    assert len(fake.requests) == (1 if room == 20_000 else 2)
    talker.cancel(first)
    assert talker.ended(first)["state"] == "canceled"
    assert talker.rider.spent == 0


def test_the_files_go_with_the_account(
    hire, configured: Any, fake: FakeProviders, talker: Talker, folder: Path
) -> None:
    fake.script(Behaviour(plain_delay=120))
    configured.JOBS_AT_ONCE = 1
    running = talker.said()["id"]
    hire().wake()
    fake.wait_until(lambda: fake.open == 1, timeout=20)
    waiting = talker.said()["id"]
    assert kept(folder) == sorted([running, waiting])
    assert delete_account(user=talker.rider.user)
    assert kept(folder) == []
    assert not Hold.objects.filter(state="open").exists()
    fake.wait_until(lambda: fake.open == 0, timeout=20)


def test_its_owner_and_staff_see_it_as_any_other(talker: Talker, folder: Path) -> None:
    job = talker.said()["id"]
    person = Client()
    person.force_login(talker.rider.user)
    assert "transcription" in person.get(f"/dashboard/jobs/{job}/").content.decode()
    staff = Client()
    staff.force_login(User.objects.create_superuser(email="staff@example.com"))
    assert "transcription" in staff.get("/admin/jobs/job/").content.decode()
    person.post(f"/dashboard/jobs/{job}/cancel/")
    assert (talker.job(job)["state"], kept(folder)) == ("canceled", [])
    other = Job.objects.get(pk=talker.said()["id"])
    assert cancel_as_staff(other) == "Canceled."
    assert kept(folder) == []


def test_a_person_who_is_signed_in_may_send_one(talker: Talker, folder: Path) -> None:
    """Looking for the form's token Django reads the form, before the API does."""
    earlier = talker.said()["id"]
    person = Client(enforce_csrf_checks=True)
    person.force_login(talker.rider.user)
    person.get(f"/dashboard/jobs/{earlier}/")
    parts = {"kind": "transcription", "input": json.dumps({"model": MODEL})}
    files = {"file": SimpleUploadedFile("sound", wav())}
    assert person.post("/api/jobs", parts | files).status_code == 403
    assert kept(folder) == [earlier]
    files["file"].seek(0)
    token = {"x-csrftoken": person.cookies["csrftoken"].value}
    answer = person.post("/api/jobs", parts | files, headers=token)
    assert answer.status_code == 202, answer.content
    job = answer.json()["id"]
    assert (folder / job).read_bytes() == wav()
    talker.cancel(earlier)
    talker.cancel(job)


def test_what_a_process_left_is_tidied_up(
    talker: Talker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, ended = talker.said()["id"], talker.said()["id"]
    talker.cancel(ended)
    never = str(uuid7())
    for name in (ended, never, "somebody's own"):
        (folder / name).write_bytes(wav())
    assert uploads.tidy() == 0, "they may be about to be needed"
    monkeypatch.setattr(uploads, "YOUNG", timedelta(minutes=-1))
    assert uploads.tidy() == 2
    assert kept(folder) == sorted([waiting, "somebody's own"])
    talker.cancel(waiting)
