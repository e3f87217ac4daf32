"""Backups of a running server: one at a time, in a thread of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from lakebed.backup.manifest import Manifest
from lakebed.backup.taking import Progress, Stores, sweep, take
from lakebed.ports.objects import Objects
from lakebed.vocabulary.errors import Conflict, LakebedError
from lakebed.vocabulary.times import to_rfc3339

log = structlog.get_logger(__name__)
_PATIENCE = 4.0  # seconds that a stopping server waits for the thread; a store may hang


@dataclass(slots=True)
class _Running:
    place: str
    progress: Progress
    thread: threading.Thread | None = None


class Backups:
    """Fulfils `api.services.Backups`. Any thread.

    Args:
        open_objects: opens the place that a request names.
    """

    def __init__(self, stores: Stores, open_objects: Callable[[str], Objects]) -> None:
        self._stores, self._open = stores, open_objects
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._last: dict[str, Any] | None = None

    def begin(self, place: str, keep: int | None) -> None:
        """Start a backup and return.

        Raises:
            Conflict: one is running.
            SettingsError, Unavailable: the place cannot be used.
        """
        with self._lock:
            if self._running is not None:
                raise Conflict(f"a backup to {self._running.place} is running")
            objects = self._open(place)
            running = _Running(objects.place, Progress())
            running.thread = threading.Thread(
                target=self._run, args=(objects, running, keep), name="backup", daemon=True
            )
            self._running = running
            running.thread.start()

    def state(self) -> dict[str, Any]:
        """What runs, and how the last one ended."""
        with self._lock:
            running, last = self._running, self._last
        if running is None:
            return {"running": None, "last": last}
        progress = running.progress
        return {
            "running": {
                "to": running.place,
                "doing": progress.doing,
                "bytes_done": progress.done,
                "bytes_total": progress.total,
            },
            "last": last,
        }

    def close(self) -> None:
        """End the one that runs; it leaves nothing that counts."""
        with self._lock:
            running = self._running
        if running is not None and running.thread is not None:
            running.progress.cancelled = True
            running.thread.join(_PATIENCE)

    def _run(self, objects: Objects, running: _Running, keep: int | None) -> None:
        try:
            ended = summary(take(self._stores, objects, running.progress), objects.place)
            ended["removed"] = sweep(objects, keep)
        except LakebedError as error:
            log.error("backup failed", place=objects.place, error=str(error))
            ended = {"to": objects.place, "error": str(error)}
        except Exception as error:
            log.exception("backup failed", place=objects.place)
            ended = {"to": objects.place, "error": f"{type(error).__name__}: {error}"}
        with self._lock:
            self._running, self._last = None, ended


def summary(manifest: Manifest, place: str) -> dict[str, Any]:
    """A backup in a few figures."""
    return {
        "to": place,
        "name": manifest.name,
        "taken": to_rfc3339(manifest.taken),
        "position": {str(k): v for k, v in manifest.position.items()},
        "messages": manifest.messages,
        "rows": sum(manifest.rows.values()),
        "bytes": manifest.size,
        "new_bytes": manifest.written,
    }
