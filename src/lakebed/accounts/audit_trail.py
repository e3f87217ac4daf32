"""Writes the audit log.

    changes ──> record ──> catalog       before they are answered
    refusals ─> refused ─> queue ─> catalog       few of a kind in a minute, never in the way

A client decides how often it is refused. So entries about refusals are bounded, in rate and in
memory, and those left out are counted.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

import structlog

from lakebed.ports.accounts.audit import AuditEntry, AuditLog
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.times import Micros, now

log = structlog.get_logger(__name__)

_QUEUE = 1_000  # entries
_KINDS = 10_000  # kinds of refusals that are remembered
_EVERY = 60.0  # seconds in which one of a kind is written
_RATE = 600  # refusals in so many seconds, all kinds together
_FLUSH = 1.0  # seconds
_EXPIRE = 3600.0  # seconds


class AuditTrail:
    """Thread-safe."""

    def __init__(self, store: AuditLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[AuditEntry] = deque()
        self._seen: dict[tuple[str, ...], float] = {}
        self._window = (float("-inf"), 0)
        self._of_action: Counter[str] = Counter()  # in this window
        self.written = 0
        self.left_out = 0
        self.failed = 0

    def record(self, entry: AuditEntry) -> None:
        """Write an entry, and those that wait. Blocks; logs where it cannot be written."""
        self._write([*self._taken(), entry])

    def refused(self, entry: AuditEntry, most: int = _RATE) -> None:
        """Queue an entry about a refusal, unless one of its kind was written a moment ago.

        Args:
            most: entries about this action in a minute, so that others find room beside it.
        """
        kind = (entry.owner, entry.actor, entry.action, entry.address, entry.result)
        with self._lock:
            moment = self._clock()
            begun, count = self._window
            if moment >= begun + _EVERY:
                begun, count = moment, 0
                self._of_action.clear()
            if (
                count >= _RATE
                or self._of_action[entry.action] >= most
                or len(self._queue) >= _QUEUE
                or moment < self._seen.get(kind, float("-inf")) + _EVERY
            ):
                self.left_out += 1
                return
            self._window = begun, count + 1
            self._of_action[entry.action] += 1
            self._seen.pop(kind, None)
            while len(self._seen) >= _KINDS:
                del self._seen[next(iter(self._seen))]
            self._seen[kind] = moment
            self._queue.append(entry)

    def flush(self) -> None:
        """Write the entries that wait. Blocks."""
        if taken := self._taken():
            self._write(taken)

    def _taken(self) -> list[AuditEntry]:
        with self._lock:
            taken = list(self._queue)
            self._queue.clear()
            return taken

    def _write(self, entries: list[AuditEntry]) -> None:
        try:
            self._store.add_audit(entries)
            self.written += len(entries)
        except LakebedError as error:
            self.failed += len(entries)
            for entry in entries:
                log.error(
                    "an entry of the audit log could not be written",
                    actor=entry.actor, action=entry.action, resource=entry.resource,
                    result=entry.result, error=str(error),
                )  # fmt: skip


async def keep(trail: AuditTrail, store: AuditLog, lasts: Micros) -> None:
    """Write what waits once a second, and delete what is older than `lasts`, until cancelled."""
    looked = float("-inf")
    while True:
        await asyncio.sleep(_FLUSH)
        await asyncio.to_thread(trail.flush)
        if time.monotonic() >= looked + _EXPIRE:
            looked = time.monotonic()
            with suppress(LakebedError):
                await asyncio.to_thread(store.expire_audit, now() - lasts)
