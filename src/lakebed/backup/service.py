"""Backups of a running server: one at a time, in a thread of its own."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import structlog

from lakebed.backup.listing import listed
from lakebed.backup.manifest import Manifest
from lakebed.backup.taking import Progress, Stores, sweep, take
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.objects import Objects
from lakebed.vocabulary.errors import Conflict, LakebedError, Unavailable
from lakebed.vocabulary.times import to_rfc3339

log = structlog.get_logger(__name__)
_NOTE = "last backup"
_MOST = 100  # backups that are listed
_JOIN_TIMEOUT = 4.0  # seconds that a stopping server waits for the thread; a store may hang


@dataclass(slots=True)
class _Running:
    location: str
    progress: Progress
    thread: threading.Thread | None = None


class Backups:
    """Implements `api.services.Backups`. Any thread.

    Args:
        open_objects: opens the location that a request names, and makes it where it is missing.
        look_at: opens one that is there.
        notes: remembers the last backup beyond the end of the process.
    """

    def __init__(
        self,
        stores: Stores,
        open_objects: Callable[[str], Objects],
        look_at: Callable[[str], Objects] | None = None,
        notes: NoteStore | None = None,
    ) -> None:
        self._stores, self._open = stores, open_objects
        self._look_at = look_at or open_objects
        self._notes = notes
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._last: dict[str, Any] | None = None

    def begin(self, location: str, keep: int | None, take_over: bool = False) -> None:
        """Start a backup and return.

        Raises:
            Conflict: one is running.
            SettingsError, Unavailable: the location cannot be used.
        """
        with self._lock:
            if self._running is not None:
                raise Conflict(f"a backup to {self._running.location} is running")
            objects = self._open(location)
            running = _Running(objects.location, Progress())
            running.thread = threading.Thread(
                target=self._run,
                args=(objects, running, keep, take_over),
                name="backup",
                daemon=True,
            )
            self._running = running
            running.thread.start()

    def state(self) -> dict[str, Any]:
        """Return the progress of the running backup, and the result of the last one."""
        with self._lock:
            running, last = self._running, self._last
        if last is None:
            last = self._remembered()
        if running is None:
            return {"running": None, "last": last}
        progress = running.progress
        return {
            "running": {
                "to": running.location,
                "doing": progress.doing,
                "bytes_done": progress.done,
                "bytes_total": progress.total,
            },
            "last": last,
        }

    def at(self, location: str) -> list[dict[str, Any]]:
        """The backups at a place, the newest first; of many the newest alone.

        Raises:
            SettingsError, Unavailable: the location cannot be used.
        """
        rows, _ = listed(self._look_at(location), most=_MOST)
        return rows[::-1]

    def _remembered(self) -> dict[str, Any] | None:
        try:
            text = self._notes.note(_NOTE) if self._notes else None
        except Unavailable:
            return None
        return None if text is None else cast("dict[str, Any]", msgspec.json.decode(text))

    def _remember(self, ended: dict[str, Any]) -> None:
        if self._notes is not None:
            with suppress(Unavailable):
                self._notes.write_note(_NOTE, msgspec.json.encode(ended).decode())

    def close(self) -> None:
        """Cancel the running backup: it does not get a manifest."""
        with self._lock:
            running = self._running
        if running is not None and running.thread is not None:
            running.progress.cancelled = True
            running.thread.join(_JOIN_TIMEOUT)

    def _run(self, objects: Objects, running: _Running, keep: int | None, take_over: bool) -> None:
        try:
            made = take(self._stores, objects, running.progress, take_over)
            ended = summary(made, objects.location)
            ended["removed"] = sweep(objects, keep)
        except LakebedError as error:
            log.error("backup failed", place=objects.location, error=str(error))
            ended = {"to": objects.location, "error": str(error)}
        except Exception as error:
            log.exception("backup failed", place=objects.location)
            ended = {"to": objects.location, "error": f"{type(error).__name__}: {error}"}
        self._remember(ended)
        with self._lock:
            self._running, self._last = None, ended


def summary(manifest: Manifest, location: str) -> dict[str, Any]:
    """Summarise a backup, for the API and the command line."""
    return {
        "to": location,
        "name": manifest.name,
        "taken": to_rfc3339(manifest.taken),
        "position": {str(k): v for k, v in manifest.position.items()},
        "messages": manifest.messages,
        "rows": sum(manifest.rows.values()),
        "bytes": manifest.size,
        "new_bytes": manifest.written,
    }
