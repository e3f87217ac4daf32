"""A lease: one of several processes does a piece of work, and renews its lease meanwhile.

    acquire ──> renew, renew, … (a thread, every two seconds) ──> the work is done, or we die
    others: not renewed for ten seconds ──> acquire

A slow store delays the work, not the renewal; a process that hangs or was killed does not renew.
No clocks are compared: each process measures by its own how long a lease was not renewed. Two that
work at the same time for a moment must do no harm.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import msgspec
import structlog

from lakebed.ports.catalog.checkpoints import TransactionalCheckpoints
from lakebed.ports.catalog.notes import NoteStore
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import Unavailable

log = structlog.get_logger(__name__)

RENEW_EVERY = 2.0  # seconds
TTL = 10.0  # seconds without a renewal after which another process may acquire it


class LeaseCatalog(TransactionalCheckpoints, NoteStore, Protocol):
    """The part of the catalog that a lease needs."""


class Work(msgspec.Struct, frozen=True):
    """The content of the note: which process works, and on what."""

    worker: str
    beat: int
    doing: str


class Lease:
    """One process's view of a lease.

    Args:
        note: the name of the note in the catalog, and of the claim that serializes changes to it.
        alone: whether no other process uses the catalog: then a former holder has ended.
        monotonic: seconds.

    Attributes:
        doing: the progress of the work, written with each renewal.
        lost: whether another process has acquired it.
    """

    def __init__(
        self,
        catalog: LeaseCatalog,
        note: str,
        *,
        alone: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalog, self._note, self._alone = catalog, note, alone
        self._monotonic = monotonic
        self._me, self._beats = secrets.token_hex(8), 0
        self._other: tuple[Work | None, float] = (None, 0.0)
        self.doing = ""
        self.lost = False

    def acquire(self) -> bool:
        """Acquire the lease, unless another process holds it; return whether we have it.

        Raises:
            StoreUnavailable: the catalog does not answer.
        """
        with self._catalog.transaction():
            self._catalog.claim(self._note, 0)
            work = self._read()
            if work is not None and work.worker != self._me and not self._alone:
                known, since = self._other
                if work != known:
                    self._other = (work, self._monotonic())
                    return False
                if self._monotonic() - since < TTL:
                    return False
            self.lost = False
            self._write()
        return True

    def renew(self) -> None:
        """Renew the lease, or set `lost`."""
        with self._catalog.transaction():
            self._catalog.claim(self._note, 0)
            work = self._read()
            if work is None or work.worker != self._me:
                self.lost = True
            else:
                self._write()

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Renew in a thread while inside the context."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew, args=(ended,), name="lead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(RENEW_EVERY)

    def _renew(self, ended: threading.Event) -> None:
        name_this_thread("lead")
        while not ended.wait(RENEW_EVERY) and not self.lost:
            try:
                self.renew()
            except Unavailable as error:
                log.warning("the lease is not renewed", error=str(error))

    def _read(self) -> Work | None:
        text = self._catalog.note(self._note)
        return None if text is None else msgspec.json.decode(text, type=Work)

    def _write(self) -> None:
        self._beats += 1
        work = Work(self._me, self._beats, self.doing)
        self._catalog.write_note(self._note, msgspec.json.encode(work).decode())
