"""Figures with their targets and anchors: the table, the JSON, and what machine it was."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import nginx
from devtools.embedded import postgres_binaries

_PACKAGES = ("django", "uvicorn", "uvloop", "httptools", "psycopg", "psycopg-pool")


@dataclass(frozen=True)
class Figure:
    """The median of what was measured several times, with the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        text = short(self.median)
        if self.least != self.most:
            text += f" ({short(self.least)}..{short(self.most)})"
        return text


@dataclass(frozen=True)
class Line:
    """One line of the table. ``at_most`` and ``at_least`` bound ``figure``; without either it is
    told for its own sake. The anchor's figure is that of ``anchor_name`` in the same run."""

    part: str
    what: str
    unit: str
    figure: Figure
    at_most: float | None = None
    at_least: float | None = None
    anchor_name: str = ""
    anchor: Figure | None = None

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"≤ {short(self.at_most)}"
        return f"≥ {short(self.at_least)}" if self.at_least is not None else ""

    @property
    def ratio(self) -> float | None:
        if self.anchor is None or not self.anchor.median:
            return None
        return self.figure.median / self.anchor.median

    @property
    def verdict(self) -> str:
        if self.at_most is not None:
            return "ok" if self.figure.median <= self.at_most else "MISS"
        if self.at_least is not None:
            return "ok" if self.figure.median >= self.at_least else "MISS"
        return ""

    def cells(self) -> list[str]:
        anchor = f"{self.anchor_name} {self.anchor}" if self.anchor else ""
        ratio = f"{self.ratio:.2f} x" if self.ratio is not None else ""
        figure = f"{self.figure} {self.unit}".strip()
        return [self.part, self.what, figure, self.target, anchor, ratio, self.verdict]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "verdict": self.verdict}


@dataclass
class Report:
    """What a run found. ``notes`` are sentences; ``facts`` describe the machine."""

    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    _yardstick: list[float] = field(default_factory=list)

    def look_at_the_clock(self) -> None:
        """Note how fast the machine is just now: what a fixed loop takes, milliseconds."""
        self._yardstick.append(yardstick_ms())

    def tell_the_clock(self) -> None:
        """Say how much that changed during the run: neighbours on a shared machine show in it."""
        if self._yardstick:
            least, most = min(self._yardstick), max(self._yardstick)
            self.details["yardstick_ms"] = self._yardstick
            self.notes.append(
                f"A loop that is always the same took {short(least)} to {short(most)} ms in this"
                " run: times and costs are to be read with that factor in mind, ratios are not."
            )

    def table(self) -> str:
        head = ["part", "what", "figure", "target", "beside", "ratio", ""]
        rows = [head, *(line.cells() for line in self.lines)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        rows.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def write(self, path: Path) -> None:
        value = {
            "facts": self.facts,
            "lines": [line.as_dict() for line in self.lines],
            "notes": self.notes,
            "details": self.details,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def short(value: float) -> str:
    """Three significant digits, and whole numbers whole."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"


def machine(folder: Path) -> dict[str, Any]:
    """What the figures depend on. ``folder`` is where the database lies."""
    anchor = nginx.find()
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": _first_line([str(postgres_binaries() / "postgres"), "--version"]),
        "nginx": nginx.version(anchor) if anchor else None,
        "folder": str(folder),
        "flush_ms": round(flush_ms(folder), 3),
        "load_average_before": os.getloadavg()[0],
        "packages": {name: version(name) for name in _PACKAGES},
        "commit": _first_line(["git", "rev-parse", "--short", "HEAD"]),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "")


def _first_line(command: list[str]) -> str:
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return shown.stdout.strip()


def yardstick_ms() -> float:
    """CPU of a fixed loop in Python, the least of three."""
    seen = []
    for _ in range(3):
        started, total = time.process_time(), 0
        for number in range(200_000):
            total += number * number
        seen.append((time.process_time() - started) * 1000)
    return min(seen)


def flush_ms(folder: Path) -> float:
    """What one small fdatasync below ``folder`` takes: the median of fifty, milliseconds."""
    path = folder / "flush"
    seen = []
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"x" * 512)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            seen.append((time.perf_counter() - started) * 1000)
    path.unlink()
    return statistics.median(seen)
