"""What is refused of transcriptions: nothing queued, nothing held, nobody asked, no file left."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import InterfaceError, OperationalError

import jobs.creating
from accounts.verbs import issue_key
from common.ids import uuid7
from jobs import audio, uploads
from jobs.models import Job
from tests.fakes.providers import FakeProviders
from tests.jobs.asking import chat
from tests.jobs.sounds import MODEL, PRICE, SOUNDS, Talker, wav
from tests.proxy.fleet import put_back
from tests.proxy.riders import Rider, make_rider
from usage.models import AIModel
from usage.sync import set_price

WHISPER = "whisper-1"


@pytest.fixture
def talker(configured: Any, rider: Rider) -> Iterator[Talker]:
    with put_back():
        for name in (MODEL, WHISPER):
            model = AIModel.objects.create(
                name=name, provider="openai", protocol="openai", override=PRICE
            )
            set_price(model, {}, (), "")
        jobs.creating.forget_models()
        yield Talker(rider)
    jobs.creating.forget_models()


@pytest.fixture
def folder(configured: Any) -> Path:
    return Path(configured.STORAGES["jobs"]["OPTIONS"]["location"])


@pytest.fixture
def nothing_moved(talker: Talker, folder: Path, fake: FakeProviders) -> Iterator[None]:
    yield
    assert not Job.objects.exists()
    talker.rider.assert_untouched()
    assert fake.requests == []
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def refused(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


BAD_INPUT = [
    ({"model": None}, 400, "input.model"),
    ({"model": "gpt-4o-mini"}, 400, "input.model"),
    ({"model": "gpt-4o-transcribe-diarize"}, 404, "input.model"),
    ({"model": WHISPER}, 400, "input.model"),
    ({"model": "gpt-900-transcribe"}, 404, "input.model"),
    ({"stream": True}, 400, "input.stream"),
    ({"stream": "yes"}, 400, "input.stream"),
    ({"response_format": "srt"}, 400, "input.response_format"),
    ({"response_format": ["json"]}, 400, "input.response_format"),
    ({"temperature": 1.5}, 400, "input.temperature"),
    ({"temperature": True}, 400, "input.temperature"),
    ({"language": 7}, 400, "input.language"),
    ({"language": "e" * 21}, 400, "input.language"),
    ({"prompt": "p" * 8_001}, 400, "input.prompt"),
    ({"prompt": ["p"]}, 400, "input.prompt"),
    ({"chunking_strategy": "auto"}, 400, "input.chunking_strategy"),
    ({"timestamp_granularities": ["word"]}, 400, "input.timestamp_granularities"),
    ({"include": ["logprobs"]}, 400, "input.include"),
    ({"base_url": "http://169.254.169.254/"}, 400, "input.base_url"),
]


@pytest.mark.usefixtures("nothing_moved")
def test_a_form_in_chunks(talker: Talker) -> None:
    assert refused(talker.say(length="")) == (400, "bad_request", None)
    assert "Content-Length" in talker.say(length="").json()["error"]["message"]


@pytest.mark.usefixtures("nothing_moved")
def test_bad_input(talker: Talker) -> None:
    for given, status, param in BAD_INPUT:
        code = "model_not_found" if status == 404 else "bad_request"
        assert refused(talker.say(**given)) == (status, code, param), given


@pytest.mark.usefixtures("nothing_moved")
def test_a_model_that_is_priced_by_the_minute_is_told_so(talker: Talker) -> None:
    for name in (WHISPER, "whisper-2"):
        message = talker.say(model=name).json()["error"]["message"]
        assert "priced by the minute" in message
        assert MODEL in message


NO_SOUND = {
    "nothing": b"",
    "text": b"RIFF is a word, and so is WAVE" * 20,
    "a picture": b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(400),
    "a picture in MP4's form": b"\0\0\0\x20ftypheic\0\0\0\0" + bytes(400),
    "UTF-16": b"\xff\xfeh\0e\0l\0l\0o\0" * 20,
    "another kind of sound": b"\xff\xf1\x50\x80" + bytes(400),  # AAC without a container
    "another form": b"\x1aE\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska" + bytes(400),
    "a tag of nothing": b"ID3\x04\0\0\0\0\0\x03abc" + bytes(400),
    "a program": b"\x7fELF" + bytes(400),
    "a byte": b"\xff",
}


@pytest.mark.usefixtures("nothing_moved")
def test_what_is_no_sound(talker: Talker) -> None:
    """Whatever its name says."""
    parts = {"kind": "transcription", "input": json.dumps({"model": MODEL})}
    for kind, file in NO_SOUND.items():
        answer = talker.send(parts, file, name="sound.mp3")
        assert refused(answer) == (400, "bad_request", "file"), kind


@pytest.mark.usefixtures("nothing_moved")
def test_too_large(talker: Talker, configured: Any) -> None:
    configured.JOB_AUDIO_BYTES = 3_000_000  # Django keeps one of that size in a file
    sound = wav(400)
    answer = talker.say(sound)
    assert refused(answer) == (413, "request_too_large", "file")
    assert "3000000" in answer.json()["error"]["message"]
    configured.JOB_AUDIO_BYTES = len(sound) - 1
    assert talker.say(sound).status_code == 413


def test_as_large_as_may_be(talker: Talker, configured: Any, folder: Path) -> None:
    sound = wav(400)
    configured.JOB_AUDIO_BYTES = len(sound)
    job = talker.said(sound)
    assert (folder / uploads.FOLDER / job["id"]).read_bytes() == sound
    talker.cancel(job["id"])


@pytest.mark.usefixtures("nothing_moved")
def test_forms_that_are_none(talker: Talker) -> None:
    model = json.dumps({"model": MODEL})
    asked = {"kind": "transcription", "input": model}
    for parts, file, param in [
        (asked, None, "file"),
        (asked | {"file": "no file"}, None, "file"),
        (asked | {"audio": "more"}, wav(), "audio"),
        ({"kind": "transcription"}, wav(), "input"),
        (asked | {"input": "{"}, wav(), "input"),
        (asked | {"input": "[]"}, wav(), "input"),
        *((asked | {"input": "[" * n + "]" * n}, wav(), "input") for n in (252, 253, 254, 300)),
        ({"input": model}, wav(), "kind"),
        (asked | {"kind": "painting"}, wav(), "kind"),
        ({"kind": "noop"}, wav(), "file"),
        ({"kind": "completion", "input": json.dumps(chat())}, wav(), "file"),
        (asked | {"webhook": "http://127.0.0.1/"}, wav(), "webhook"),
    ]:
        assert refused(talker.send(parts, file)) == (400, "bad_request", param), parts
    assert refused(talker.post("transcription", {"model": MODEL})) == (400, "bad_request", "file")


@pytest.mark.usefixtures("nothing_moved")
def test_bytes_that_are_no_form(talker: Talker) -> None:
    for body in (b"", b"--x\r\n", b"nothing of the kind"):
        for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
            answer = talker._client.post("/api/jobs", body, kind)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.usefixtures("nothing_moved")
def test_parts_that_are_given_twice(talker: Talker) -> None:
    parts = [("kind", "transcription"), ("input", json.dumps({"model": MODEL}))]
    for files in (
        [*((name, (None, text)) for name, text in parts), *[("file", ("a", wav()))] * 2],
        [*((name, (None, text)) for name, text in [*parts, *parts]), ("file", ("a", wav()))],
        [*((name, ("named", text)) for name, text in parts), ("file", ("a", wav()))],
    ):
        form = httpx.Request("POST", "http://localhost", files=files)
        assert talker._post(form.read(), form, "").status_code == 400


@pytest.mark.usefixtures("nothing_moved")
def test_who_may_not(talker: Talker) -> None:
    reads = issue_key(user=talker.rider.user, name="reads", scopes=["read"]).secret
    for secret, code in [("fb_none", "invalid_api_key"), (reads, "permission_denied")]:
        stranger = Talker(replace(talker.rider, secret=secret))
        assert stranger.say().json()["error"]["code"] == code


def test_what_cannot_be_paid_leaves_no_file(
    talker: Talker, folder: Path, fake: FakeProviders
) -> None:
    poor = Talker(make_rider("poor@example.com", credits=50_000))
    assert refused(poor.say(SOUNDS["ogg"])) == (402, "insufficient_credits", None)
    poor.rider.assert_untouched()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("nothing_moved")
def test_a_storage_that_is_away(talker: Talker, folder: Path) -> None:
    folder.write_bytes(b"")  # where files were, a file is in the way
    answer = talker.say()
    assert refused(answer) == (503, "unavailable", None)
    assert answer.headers["retry-after"] == "5"
    folder.unlink()


def test_one_key_is_one_job_whatever_the_boundary(talker: Talker, folder: Path) -> None:
    first = talker.say(key="talk-1", prompt="fares", temperature=0)
    held = talker.rider.held
    again = talker.say(key="talk-1", temperature=0, prompt="fares")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    for file, given in [(wav(3), {"prompt": "fares", "temperature": 0}), (wav(), {})]:
        answer = talker.say(file, key="talk-1", **given)
        assert refused(answer) == (422, "key_reused", "Idempotency-Key")
    kept = [path.name for path in folder.rglob("*") if path.is_file()]
    assert kept == [first.json()["id"]]
    assert (Job.objects.count(), talker.rider.held) == (1, held)
    talker.cancel(first.json()["id"])


def _of(code: type[psycopg.Error]) -> OperationalError:
    error = OperationalError()
    error.__cause__ = code()
    return error


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (_of(psycopg.errors.LockNotAvailable), False),
        (_of(psycopg.errors.DeadlockDetected), False),
        (_of(psycopg.errors.AdminShutdown), True),
        (_of(psycopg.OperationalError), True),
        (InterfaceError(), True),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: repr(getattr(value, "__cause__", None) or value),
)
def test_a_file_stays_only_where_the_job_may_be(
    configured: Any, clean_books: bool, folder: Path, error: BaseException, stays: bool
) -> None:
    """A connection that broke may have broken after the commit."""
    job = uuid7()
    with pytest.raises(type(error)), uploads.kept(job, _upload()):
        raise error
    assert (folder / uploads.FOLDER / str(job)).exists() == stays


def _upload() -> uploads.Upload:
    file = SimpleUploadedFile("sound", wav())
    found = audio.look(file, len(wav()))
    assert found is not None
    return uploads.Upload(file, found, "")
