"""Files that jobs are asked for with: they are kept in the storage named ``jobs`` from before the
job is made until it is done or canceled, and as long as it is kept if it failed.

Each is named by its job, in a folder of their own: its list is what there is. What a process leaves
there that dies in between, ``tidy`` finds.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import django.db
import structlog
from django.core.files.base import File
from django.core.files.storage import storages

from common.errors import BadInput, Conflict, NotFound, Unavailable
from jobs.kinds import KINDS, FileKind
from jobs.models import Job
from jobs.results import give_connection_back, in_thread
from proxy.protocols.transcription import Audio

log = structlog.get_logger(__name__)

FOLDER = "uploads"
FORM = "multipart/form-data"
# Files of jobs that were asked for so lately are the business of who asked.
YOUNG = timedelta(hours=1)
# A job that failed may be retried as long as it is kept.
_OVER = {Job.State.DONE, Job.State.CANCELED}
_BATCH = 1000
# Of files that a worker has in memory. What is sent of them, and waits to be, takes as much again.
ROOM_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """A file, what it is, and the SHA-256 of its bytes where somebody asked for it."""

    file: File
    audio: Audio
    digest: str = ""


def refuse(kind: str, upload: Upload | None) -> NoReturn:
    """For a file that a kind does not take, and one that it needs."""
    if upload is not None:
        raise BadInput(f"file: is not taken by jobs of the kind {kind}.", param="file")
    raise BadInput(f"file: is required; send {FORM}.", param="file")


@contextmanager
def kept(job: uuid.UUID, upload: Upload | None) -> Iterator[None]:
    """Keep a file for a job that is made within; if that fails it is not kept.

    Raises ``Unavailable`` when the storage is away.
    """
    if upload is None:
        yield
        return
    _save(job, upload.file)
    try:
        yield
    except BaseException as error:
        if not _may_be_committed(error):  # else ``tidy`` finds out
            drop(job)
        raise


def _may_be_committed(error: BaseException) -> bool:
    """Whether an error leaves open if there is a job: the connection broke, perhaps at the commit.
    What PostgreSQL itself refuses has its code, but for those of its own end."""
    if not isinstance(error, django.db.OperationalError | django.db.InterfaceError):
        return False
    code = getattr(error.__cause__, "sqlstate", None)
    return code is None or code[:2] in {"08", "57"}


def _save(job: uuid.UUID, file: File) -> None:
    give_connection_back()
    try:
        storages["jobs"].save(_name(job), file)
    except OSError as error:
        log.error("a file can't be stored", job=str(job), error=str(error))
        drop(job)  # a part of it may be there
        raise Unavailable("The file could not be stored; try again.", retry_after=5) from None


async def fetch(job: uuid.UUID) -> bytes:
    """A job's file. Raises ``NotFound``, and ``Unavailable`` when the storage is away."""
    try:
        return await in_thread(_read, job)
    except TimeoutError:
        raise Unavailable("The job's file can't be read now.") from None


class Room:
    """So many bytes of files may be in a worker's memory at once, ``ROOM_BYTES`` if no other number
    is given; who comes first goes first. A file that is larger than all of it goes alone."""

    def __init__(self, most: int | None = None) -> None:
        self._left = self._most = ROOM_BYTES if most is None else most
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        """Room for a file of ``size`` bytes, once there is."""
        size = min(size, self._most)
        async with self._turn:
            while self._left < size:
                self._freed.clear()
                await self._freed.wait()
            self._left -= size
        try:
            yield
        finally:
            self._left += size
            self._freed.set()


def _read(job: uuid.UUID) -> bytes:
    try:
        with storages["jobs"].open(_name(job)) as file:
            return bytes(file.read())
    except FileNotFoundError:
        raise NotFound("The job's file is gone.") from None
    except OSError as error:
        log.error("a file can't be read", job=str(job), error=str(error))
        raise Unavailable("The job's file can't be read now.") from None


@contextmanager
def again(job: uuid.UUID) -> Iterator[File]:
    """The file of a job that failed, for another that asks the same.

    Raises ``Conflict`` when it is not there any more, and ``Unavailable``.
    """
    give_connection_back()
    try:
        file = storages["jobs"].open(_name(job))
        file.seek(0)  # a bucket is asked not before it is read
    except FileNotFoundError:
        raise Conflict("The file that it was asked with is not kept any more.") from None
    except OSError as error:
        log.error("a file can't be read", job=str(job), error=str(error))
        raise Unavailable("The job's file can't be read now; try again.", retry_after=5) from None
    with file:
        yield file


def drop(job: uuid.UUID) -> None:
    """Remove a job's file. What can't be removed now ``tidy`` removes."""
    give_connection_back()
    try:
        storages["jobs"].delete(_name(job))
    except OSError as error:
        log.warning("a file is left to be tidied up", job=str(job), error=type(error).__name__)


async def drop_soon(job: uuid.UUID) -> None:
    """``drop``, away from the loop."""
    with suppress(TimeoutError):  # what it leaves ``tidy`` removes
        await in_thread(drop, job)


def drop_all(jobs: Iterable[uuid.UUID], seconds: float) -> None:
    """Remove the files of several jobs, until ``seconds`` are over; ``tidy`` removes the others."""
    until = time.monotonic() + seconds
    for job in jobs:
        if time.monotonic() > until:
            return
        drop(job)


def is_over(kind: str, state: str | None) -> bool:
    """Whether a job of this kind has a file that it needs no more."""
    return state in _OVER and isinstance(KINDS.get(kind), FileKind)


def drop_if_over(job: uuid.UUID, kind: str, state: str | None) -> None:
    if is_over(kind, state):
        drop(job)


def tidy() -> int:
    """Remove the files of jobs that have ended, are no more, or were never made; answers how
    many."""
    try:
        _, names = storages["jobs"].listdir(FOLDER)
    except FileNotFoundError:
        return 0
    except OSError as error:
        log.error("uploaded files are not tidied up", error=str(error))
        return 0
    before = int((time.time() - YOUNG.total_seconds()) * 1000)
    # A job's id begins with when it was asked for.
    old = [job for job in map(_job_of, names) if job is not None and job.int >> 80 < before]
    dropped = 0
    for start in range(0, len(old), _BATCH):
        some = old[start : start + _BATCH]
        jobs = Job.objects.filter(pk__in=some).exclude(state__in=_OVER)
        needed = set(jobs.values_list("pk", flat=True))
        for job in some:
            if job not in needed:
                drop(job)
                dropped += 1
    return dropped


def _name(job: uuid.UUID) -> str:
    return f"{FOLDER}/{job}"


def _job_of(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:  # no file of ours
        return None
