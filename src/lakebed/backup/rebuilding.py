"""Rebuilds a lost series while the keepers work.

    newest whole backup of this history ──rows──────────> series
                  └── checkpoints ──┐                        ^
    journal ────────────────────────┴──> keeper.rebuild ─────┘

Each keeper checks whether there is a loss. One of them holds the lease (`lease.py`), rebuilds, and
writes its progress into the catalog; when it stops renewing the lease, another starts the rebuild
again. Two at the same time do no harm: they write the same rows. No process with the series is
ready until the rebuild is complete, or, if something is lost for ever, until an operator has
acknowledged it.
"""

import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from lakebed.backup import loss as losses
from lakebed.backup import manifest as manifests
from lakebed.backup.lease import Lease
from lakebed.backup.lineage import Lineage
from lakebed.backup.loss import Loss, LossCatalog
from lakebed.backup.manifest import Manifest
from lakebed.backup.restoring import check, fetch, load_series
from lakebed.backup.settings import RebuildSettings
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.rebuild import RECORDS, Checkpoints, Rebuild
from lakebed.kinds import TABLES
from lakebed.ports.catalog.policies import PolicyVersionReader
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.objects import Objects
from lakebed.ports.series import SeriesWriter
from lakebed.stores.opening import open_catalog_in, open_objects
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import Invalid, LakebedError, StoreUnavailable, Unavailable

log = structlog.get_logger(__name__)

_JOIN_TIMEOUT = 4.0  # seconds that a stopping server waits for the thread; a store may hang
_RETRY_DELAY = 5.0  # seconds
_LOOK_EVERY = 2.0  # seconds between two looks for a loss


class _Stopped(Exception):
    """The server stops; another one, or the next start, starts the rebuild again."""


class _LeaseLost(Exception):
    """Another process has acquired the lease, and rebuilds."""


class RebuildCatalog(LossCatalog, PolicyVersionReader, Protocol):
    """The part of the catalog that a rebuild needs."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a rebuild uses.

    Attributes:
        lineage: of the home, for backups of it.
    """

    journal: JournalReader
    series: SeriesWriter
    catalog: RebuildCatalog
    settings: RebuildSettings
    lineage: Callable[[], Lineage]


class Rebuilding:
    """Rebuilds what is lost, in a thread, if no other process does.

    Args:
        alone: whether no other process uses these stores.
    """

    def __init__(self, stores: Stores, *, alone: bool) -> None:
        self._stores, self._catalog = stores, stores.catalog
        self._lease = Lease(self._catalog, losses.WORK, alone=alone)
        self._loss = Loss("", 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rebuild", daemon=True)

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Raise `StoreUnavailable` until the rebuild is done: half a series is not backed up."""
        if losses.is_unfinished(self._catalog):
            raise StoreUnavailable("the series is being rebuilt: try again when that is done")
        yield

    def start(self) -> None:
        """Start checking for losses. Idempotent."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_TIMEOUT)

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        name_this_thread("rebuild")
        while not self._stop.is_set():
            delay = _LOOK_EVERY
            try:
                self._look()
            except _Stopped:
                log.warning("the rebuild was interrupted; another keeper or start begins it again")
            except _LeaseLost:
                log.warning("another process rebuilds the series")
            except Unavailable as error:
                if self._lease.doing:
                    log.warning("the rebuild waits", error=str(error))
                delay = _RETRY_DELAY
            except Exception:
                log.exception("the rebuild failed; it is tried again")
                delay = _RETRY_DELAY
            self._stop.wait(delay)

    def _look(self) -> None:
        loss = losses.read(self._catalog)
        if loss is None or loss.done or not loss.created:
            self._lease.doing = ""
            return
        self._lease.doing = "beginning"
        if self._lease.acquire():
            self._loss = loss
            with self._lease.renewing():
                self._rebuild()

    def _note(self, doing: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        if self._lease.lost:
            raise _LeaseLost
        self._lease.doing = doing

    def _rebuild(self) -> None:
        stores, loss = self._stores, self._loss
        loss.trouble = loss.remarks = ()
        manifest, base = self._load_backup()
        rebuild = Rebuild(
            stores.journal, stores.series, stores.catalog, stores.settings,
            losses.checkpoints(self._catalog), base, _to_write(loss), self._step,
        )  # fmt: skip
        report = rebuild.run()
        loss.rows = report.rows + (sum(manifest.rows.values()) if manifest else 0)
        loss.missing, loss.since, loss.until = report.missing, report.since, report.until
        if report.failed:
            self._add_trouble(
                f"{report.failed} messages broke a policy's code and were passed over"
            )
        if not loss.everything and (
            beyond := [part for part in loss.broken if part.partition("/")[0] not in RECORDS]
        ):
            names = ", ".join(beyond)
            self._add_trouble(
                f"aggregates and last_n in damaged parts are as in the backup, if any ({names})"
            )
        loss.backup, loss.done = manifest.name if manifest else None, True
        losses.finish(self._catalog, loss)
        log.warning(
            "the series is rebuilt", rows=loss.rows, missing=loss.missing, backup=loss.backup,
            remarks=loss.remarks, trouble=loss.trouble,
        )  # fmt: skip

    def _load_backup(self) -> tuple[Manifest | None, Checkpoints]:
        """Load the newest usable backup into the series; return its manifest and checkpoints."""
        try:
            objects = _backups_of(self._stores.settings)
            chosen = None if objects is None else self._choose(objects)
        except Unavailable:
            raise
        except LakebedError as error:
            self._add_remark(f"no backup was used: {error}")
            return None, {}
        if objects is None or chosen is None:
            return None, {}
        total, done = chosen.size, 0

        def loaded(size: int) -> None:
            nonlocal done
            done += size
            self._note(f"loading backup {chosen.name}, {done} of {total} bytes")

        load_series(objects, chosen, self._stores.series, loaded)
        return chosen, self._checkpoints(objects, chosen)

    def _choose(self, objects: Objects) -> Manifest | None:
        for name in reversed(manifests.names(objects)):
            self._note(f"checking backup {name}")
            try:
                found = manifests.read(objects, name)
                problems = check(objects, found)
            except Invalid as error:
                problems = list(error.problems)
            else:
                if not self._stores.lineage().contains(found):
                    continue
            if not problems:
                return found
            self._add_remark(f"backup {name} is damaged: {problems[0]}")
        return None

    def _checkpoints(self, objects: Objects, manifest: Manifest) -> Checkpoints:
        with tempfile.TemporaryDirectory(prefix="lakebed-rebuild-") as folder:
            fetch(objects, manifest.catalog, Path(folder) / "catalog.db")
            with closing(open_catalog_in(Path(folder))) as catalog:
                return catalog.checkpoints(CONSUMER)

    def _step(self, read: int, total: int) -> None:
        self._note(f"{read} of {total} messages of the journal read again")

    def _add_trouble(self, text: str) -> None:
        self._loss.trouble = (*self._loss.trouble, text)

    def _add_remark(self, text: str) -> None:
        self._loss.remarks = (*self._loss.remarks, text)


def _to_write(loss: Loss) -> Collection[str]:
    """The tables to write."""
    if loss.everything:
        return TABLES
    return {*loss.tables, *(RECORDS if loss.broken else ())}


def _backups_of(settings: RebuildSettings) -> Objects | None:
    """Open the configured location of this home's backups, if any."""
    place = settings.backup.to
    if place is None:
        return None
    return open_objects(place if "://" in place else str(settings.home / place))
