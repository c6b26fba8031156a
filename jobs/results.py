"""Where results are: small ones in the item's row, large ones in the storage named ``jobs``.

A file is named by the job, the item and the claim that made it, so that no worker ever writes over
another's; what a worker left that died before it could book goes with the job's folder. The storage
may be a folder or a bucket far away: whatever is wrong with it is an ``OSError``.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import django.db
import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from common.errors import Unavailable
from jobs.models import Item
from jobs.verbs import Claimed

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

FOLDER = "jobs"
KEEP_SECONDS = 60.0
# Threads of their own: a storage that hangs keeps nobody waiting who looks up a name, say.
_threads = ThreadPoolExecutor(8, thread_name_prefix="job-files")


async def keep(claimed: Claimed, place: int, body: bytes) -> dict[str, Any]:
    """Keep a result; what the item's row is to say of it. Raises ``OSError``."""
    if len(body) <= settings.JOB_INLINE_BYTES:
        return {"result": body.decode(), "bytes": len(body)}
    name = f"{_folder(claimed.id)}/{place}-{claimed.token}.json"
    return {"file": await in_thread(_save, name, body), "bytes": len(body)}


async def drop(file: str) -> None:
    """Remove a file that no row is going to name; if that fails, it goes with its folder."""
    if file:
        try:
            await in_thread(storages["jobs"].delete, file)
        except OSError as error:
            log.warning("a file is left to the sweep", error=str(error))


def read(item: Item) -> str | None:
    """An item's result as JSON; ``None`` without one. Raises ``Unavailable``."""
    if not item.file:
        return item.result
    give_connection_back()
    try:
        with storages["jobs"].open(item.file) as file:
            return bytes(file.read()).decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.error("a result can't be read", job=str(item.job_id), error=str(error))
        raise Unavailable(
            "The result can't be read now; try again shortly.", retry_after=10
        ) from None


def forget(job: uuid.UUID) -> None:
    """Remove every file of a job's. Raises ``OSError``."""
    storage = storages["jobs"]
    give_connection_back()
    try:
        _, files = storage.listdir(_folder(job))
    except FileNotFoundError:
        return
    for name in files:
        storage.delete(f"{_folder(job)}/{name}")
    storage.delete(_folder(job))


def forget_all(jobs: Iterable[uuid.UUID], seconds: float) -> int:
    """The same of several, until the storage fails or ``seconds`` are over: what stays is found by
    the sweep, once the jobs are gone. Answers of how many the files were removed."""
    until, removed = time.monotonic() + seconds, 0
    for job in jobs:
        if time.monotonic() > until:
            break
        try:
            forget(job)
        except OSError as error:
            log.error("files are left to the sweep", job=str(job), error=str(error))
            break
        removed += 1
    return removed


def jobs_with_files(before: datetime) -> list[uuid.UUID]:
    """The jobs that have a folder and were made before then. Raises ``OSError``."""
    try:
        folders, _ = storages["jobs"].listdir(FOLDER)
    except FileNotFoundError:
        return []
    found = []
    for name in folders:
        with suppress(ValueError):  # not ours
            found.append(uuid.UUID(name))
    return [job for job in found if job.int >> 80 < before.timestamp() * 1000]


def give_connection_back() -> None:
    """To its pool, outside of transactions: what is waited for now may be slow."""
    connection = django.db.connection
    if not connection.in_atomic_block:
        connection.close()


def _folder(job: uuid.UUID) -> str:
    return f"{FOLDER}/{job}"


def _save(name: str, body: bytes) -> str:
    return str(storages["jobs"].save(name, ContentFile(body)))


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work with the storage, away from the loop. Raises ``TimeoutError``, which is an ``OSError``,
    when it takes too long."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(KEEP_SECONDS):
        return await loop.run_in_executor(_threads, lambda: work(*args, **kwargs))
