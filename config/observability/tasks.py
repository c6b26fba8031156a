"""The worker's tasks, counted. Its processes answer nobody, so this is for where web processes on
the same machine share their folder with it (``PROMETHEUS_MULTIPROC_DIR``)."""

import time
from typing import Any

from celery.signals import task_postrun, task_prerun
from prometheus_client import Counter

from common.metrics import REGISTRY

TASKS = Counter(
    "farebox_tasks", "Background tasks that have run", ("task", "state"), registry=REGISTRY
)
SECONDS = Counter(
    "farebox_task_seconds", "How long they have run in all", ("task",), registry=REGISTRY
)

_started: dict[str, float] = {}


@task_prerun.connect
def _begins(task_id: str, **_: Any) -> None:
    _started[task_id] = time.monotonic()


@task_postrun.connect
def _ends(task_id: str, task: Any, state: str | None, **_: Any) -> None:
    TASKS.labels(task.name, (state or "unknown").lower()).inc()
    begun = _started.pop(task_id, None)
    if begun is not None:
        SECONDS.labels(task.name).inc(time.monotonic() - begun)
