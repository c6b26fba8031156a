"""Noticing that a source file changed."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

import watchfiles

SUFFIXES = {".py", ".sql", ".html"}
NOT_SERVED = {"tests", "bench", "devtools"}  # packages whose code no running program holds


class Watcher:
    """Watches the applications' folders and the templates, in a thread of its own."""

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self._changes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._end = threading.Event()
        self._root = root
        packages = (init.parent for init in root.glob("*/__init__.py"))
        self._folders = [path for path in packages if path.name not in NOT_SERVED]
        self._folders += [path for path in [root / "templates"] if path.exists()]
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def changed(self) -> str:
        """The name of a file that changed since the last call, or an empty string."""
        name = ""
        while not self._changes.empty():
            name = self._changes.get()
        return name

    def close(self) -> None:
        self._end.set()
        self._thread.join(timeout=2)

    def _watch(self) -> None:
        try:
            for changes in watchfiles.watch(
                *self._folders,
                watch_filter=lambda _, path: Path(path).suffix in SUFFIXES,
                stop_event=self._end,
                rust_timeout=500,
                raise_interrupt=False,
            ):
                self._changes.put(str(Path(min(changes)[1]).relative_to(self._root)))
        except (OSError, RuntimeError) as error:  # the system's limit of watches, most likely
            self._say(f"not watching for changes: {error}")
