"""Where results are: small ones in the item's row, large ones in the storage named ``jobs``.

A file is named by the job, the item and the claim that made it, so that no worker ever writes over
another's; what a worker left that died before it could book goes with the job's folder.
"""

import asyncio
import uuid
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages

from jobs.models import Item
from jobs.verbs import Claimed


async def keep(claimed: Claimed, place: int, body: bytes) -> dict[str, Any]:
    """Keep a result; what the item's row is to say of it. Raises ``OSError``."""
    if len(body) <= settings.JOB_INLINE_BYTES:
        return {"result": body.decode(), "bytes": len(body)}
    name = f"{_folder(claimed.id)}/{place}-{claimed.token}.json"
    return {"file": await asyncio.to_thread(_save, name, body), "bytes": len(body)}


async def drop(file: str) -> None:
    """Remove a file that no row is going to name."""
    if file:
        await asyncio.to_thread(storages["jobs"].delete, file)


def read(item: Item) -> str | None:
    """An item's result as JSON; ``None`` without one."""
    if not item.file:
        return item.result
    try:
        with storages["jobs"].open(item.file) as file:
            return bytes(file.read()).decode()
    except FileNotFoundError:
        return None


def forget(job: uuid.UUID) -> None:
    """Remove every file of a job's."""
    storage = storages["jobs"]
    try:
        _, files = storage.listdir(_folder(job))
    except FileNotFoundError:
        return
    for name in files:
        storage.delete(f"{_folder(job)}/{name}")
    storage.delete(_folder(job))


def _folder(job: uuid.UUID) -> str:
    return f"jobs/{job}"


def _save(name: str, body: bytes) -> str:
    return str(storages["jobs"].save(name, ContentFile(body)))
