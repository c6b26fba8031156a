"""What Prometheus is told: the registry, and one answer for all processes of a machine.

With ``PROMETHEUS_MULTIPROC_DIR`` each process keeps its values in files of that folder, and whoever
is asked adds up all of them; without it a process tells of itself alone. A process that has ended
leaves its counters (they must not fall) and takes its gauges with it (``forget_dead``).
"""

import multiprocessing
import os
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector, exposition
from prometheus_client import Histogram as ClientHistogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

# The client library reads the same variable, and makes its files as soon as there are metrics.
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
REGISTRY = CollectorRegistry()
CONTENT_TYPE = exposition.CONTENT_TYPE_LATEST

_LIVE_GAUGES = re.compile(r"gauge_live[a-z]+_(\d+)\.db")

if FOLDER:
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
else:
    ProcessCollector(registry=REGISTRY)


class Tally:
    """Observations of one histogram since they were last handed over; costs no lock and no file."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class Histogram(ClientHistogram):
    """A histogram that takes over whole tallies.

    The library's own ``observe`` takes 2 to 8 microseconds, once for each value; a tally takes a
    tenth of that and is handed over once a second.
    """

    def take(self, tally: Tally) -> None:
        """Add what ``tally`` has counted, and empty it."""
        for place, count in enumerate(tally.counts):
            if count:
                self._buckets[place].inc(count)
                tally.counts[place] = 0
        self._sum.inc(tally.total)
        tally.total = 0.0


def is_partial() -> bool:
    """Whether this process has sisters whose values it can't see."""
    return not FOLDER and multiprocessing.parent_process() is not None


def render(more: Iterable[Collector] = ()) -> bytes:
    """Everything, as Prometheus reads it. ``more`` is asked anew each time."""
    registry: Any = REGISTRY
    parts = []
    if FOLDER:
        forget_dead(Path(FOLDER))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=FOLDER)
    parts.append(exposition.generate_latest(registry))
    for collector in more:
        registry = CollectorRegistry()
        registry.register(collector)
        parts.append(exposition.generate_latest(registry))
    return b"".join(parts)


def forget_dead(folder: Path) -> None:
    """Drop the gauges of processes that have ended, those whose number has gone to another too."""
    for file in folder.glob("gauge_live*.db"):
        found = _LIVE_GAUGES.fullmatch(file.name)
        if found and not _is_alive(int(found[1]), file):
            mark_process_dead(int(found[1]), str(folder))


def _is_alive(pid: int, file: Path) -> bool:
    try:
        process = psutil.Process(pid)
        # A file is older than no owner of it; a second is what clocks may differ by.
        return bool(
            process.status() != psutil.STATUS_ZOMBIE
            and process.create_time() <= file.stat().st_ctime + 1
        )
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        return True
