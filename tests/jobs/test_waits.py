"""While a name that a job's owner chose is looked up, or a storage is asked, nobody else waits."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from django.db import connection, connections

from accounts.leaving import write_export
from common.ids import uuid7
from jobs import results, uploads
from jobs.models import Item, Job
from jobs.telling import posting
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider

LookUp = Callable[[str], Any]


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


def names(monkeypatch: pytest.MonkeyPatch, look_up: LookUp) -> None:
    """``look_up`` says what names under ``example`` mean."""
    real = socket.getaddrinfo

    def found(host: str, *args: Any, **kwargs: Any) -> Any:
        return look_up(host) if host.endswith(".example") else real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_no_connection_waits_for_a_webhooks_name(
    asker: Asker, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, held = connections["default"], []

    def look_up(_host: str) -> Any:
        held.append(own.connection is not None)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("1.1.1.1", 443))]

    names(monkeypatch, look_up)
    job = asker.make("noop", webhook="https://hooks.example/")
    assert held == [False]
    asker.cancel(job["id"])


async def test_a_name_that_hangs_keeps_no_providers_name_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, over = threading.Event(), threading.Event()

    def look_up(_host: str) -> Any:
        asked.set()
        over.wait(60)
        raise socket.gaierror

    names(monkeypatch, look_up)
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    post = asyncio.create_task(posting.post("https://hangs.example/", {}, b""))
    try:
        with ThreadPoolExecutor(1) as beside:
            assert await loop.run_in_executor(beside, asked.wait, 10)
        assert await asyncio.wait_for(loop.getaddrinfo("127.0.0.1", 443), 10)
    finally:
        over.set()
    with pytest.raises(posting.NotDelivered):
        await post


class Watched(FileSystemStorage):
    """Notes whether the thread has a connection to the database while a storage is asked."""

    held: list[bool] = []

    def _open(self, name: str, mode: str = "rb") -> Any:
        self.held.append(connection.connection is not None)
        return super()._open(name, mode)  # type: ignore[misc]  # the stubs lack it

    def listdir(self, path: str) -> Any:
        self.held.append(connection.connection is not None)
        return super().listdir(path)


@pytest.fixture
def watched(configured: Any) -> list[bool]:
    backend = configured.STORAGES["jobs"] | {"BACKEND": f"{__name__}.Watched"}
    configured.STORAGES = configured.STORAGES | {"jobs": backend}
    Watched.held.clear()
    return Watched.held


def test_no_connection_waits_for_the_storage(watched: list[bool], clean_books: bool) -> None:
    job = uuid7()
    file = storages["jobs"].save(f"jobs/{job}/0.json", ContentFile(b"{}"))
    storages["jobs"].save(f"{uploads.FOLDER}/{job}", ContentFile(b"sound"))

    assert not Job.objects.exists()
    assert results.read(Item(file=file)) == "{}"
    assert not Job.objects.exists()
    with uploads.again(job) as sound:
        assert sound.read() == b"sound"
    assert not Job.objects.exists()
    results.forget(job)
    assert watched == [False] * 3
    uploads.drop(job)


def test_no_transaction_of_an_export_waits_for_the_storage(
    asker: Asker, watched: list[bool], tmp_path: Path
) -> None:
    made = asker.make("completion", chat())
    job = UUID(made["id"])
    file = storages["jobs"].save(f"jobs/{job}/0.json", ContentFile(b'"said"'))
    Item.objects.filter(job=job).update(file=file)
    with (tmp_path / "export.json").open("wb") as to:
        write_export(asker.rider.user, to)
    (told,) = json.loads((tmp_path / "export.json").read_text())["jobs"]
    assert told["items"][0]["result"] == '"said"'
    assert watched == [False]
    asker.cancel(made["id"])
    results.forget(job)
