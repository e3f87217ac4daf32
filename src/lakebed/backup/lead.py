"""Which one of several processes does a piece of work: the one that tells of itself.

    take ──> beat, beat, beat … (a thread, every two seconds) ──> the work is done, or we die
    others: no new beat for ten seconds ──> take

A slow store delays the work and not the beat; a process that hangs or was killed does not beat. No
clocks are compared: others wait by their own. Two that work at once for a moment must do no harm.
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

BEAT = 2.0  # seconds between two beats
PATIENCE = 10.0  # seconds without a beat after which another takes over


class LeadCatalog(TransactionalCheckpoints, NoteStore, Protocol):
    """What of the catalog it needs."""


class Work(msgspec.Struct, frozen=True):
    """The content of the note: who works, and on what."""

    worker: str
    beat: int
    doing: str


class Lead:
    """Args:
        note: the name of the note, and of the claim that changes to it take turns by.
        alone: whether no other process exists: what one began has ended with it.
        monotonic: seconds.

    Attributes:
        doing: told with each beat.
        lost: whether another has taken over.
    """

    def __init__(
        self,
        catalog: LeadCatalog,
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

    def take(self) -> bool:
        """Take the work, unless another process does it.

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
                if self._monotonic() - since < PATIENCE:
                    return False
            self.lost = False
            self._write()
        return True

    def beat(self) -> None:
        """Tell that the work goes on."""
        with self._catalog.transaction():
            self._catalog.claim(self._note, 0)
            work = self._read()
            if work is None or work.worker != self._me:
                self.lost = True
            else:
                self._write()

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat in a thread meanwhile."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat, args=(ended,), name="lead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(BEAT)

    def _beat(self, ended: threading.Event) -> None:
        name_this_thread("lead")
        while not ended.wait(BEAT) and not self.lost:
            try:
                self.beat()
            except Unavailable as error:
                log.warning("cannot tell that the work goes on", error=str(error))

    def _read(self) -> Work | None:
        text = self._catalog.note(self._note)
        return None if text is None else msgspec.json.decode(text, type=Work)

    def _write(self) -> None:
        self._beats += 1
        work = Work(self._me, self._beats, self.doing)
        self._catalog.write_note(self._note, msgspec.json.encode(work).decode())
