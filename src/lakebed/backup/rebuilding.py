"""Rebuilds a lost series while the server works.

    newest whole backup of this history ──rows──────────> series
                  └── checkpoints ──┐                        ^
    journal ────────────────────────┴──> keeper.rebuild ─────┘

The server is not ready until the rebuild is complete. If something is lost for ever, it is not
ready until an operator removes the record of the loss.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog

from lakebed.backup import loss as losses
from lakebed.backup import manifest as manifests
from lakebed.backup.lineage import Lineage
from lakebed.backup.loss import Loss
from lakebed.backup.manifest import Manifest
from lakebed.backup.restoring import check, fetch, load_series
from lakebed.backup.settings import RebuildSettings
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.rebuild import RECORDS, Checkpoints, Rebuild
from lakebed.ports.catalog.policies import PolicyVersionReader
from lakebed.ports.health import Health
from lakebed.ports.journal.backup import Pins
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.objects import Objects
from lakebed.ports.series import SeriesWriter
from lakebed.stores.opening import open_catalog_in, open_objects
from lakebed.vocabulary.errors import Invalid, LakebedError, StoreUnavailable, Unavailable
from lakebed.vocabulary.times import to_rfc3339

log = structlog.get_logger(__name__)

_JOIN_TIMEOUT = 4.0  # seconds that a stopping server waits for the thread; a store may hang
_RETRY_DELAY = 5.0  # seconds


class _Stopped(Exception):
    """The server stops; the next start begins the rebuild again."""


class PinnedReader(JournalReader, Pins, Protocol):
    """What a rebuild needs of the journal."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores that a rebuild uses."""

    journal: PinnedReader
    series: SeriesWriter
    catalog: PolicyVersionReader
    settings: RebuildSettings
    lineage: Lineage


class Rebuilding:
    """Rebuilds a series in a thread. Call `start` before the keeper may trim the journal."""

    def __init__(self, stores: Stores, loss: Loss) -> None:
        self._stores, self._loss = stores, loss
        self._home = stores.settings.home
        self._stop = threading.Event()
        self._doing = "waiting"
        self._thread = threading.Thread(target=self._run, name="rebuild", daemon=True)
        self._release: list[Callable[[], None]] = []

    @property
    def done(self) -> bool:
        return self._loss.done

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Raise `StoreUnavailable` until the rebuild is done: half a series is not backed up."""
        if not self.done:
            raise StoreUnavailable("the series is being rebuilt: try again when that is done")
        yield

    def start(self) -> None:
        if not self._loss.done:
            firsts = [first for first, _ in self._stores.journal.extent().values()]
            self._release = [self._stores.journal.pin(min(firsts, default=0))]
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_TIMEOUT)

    def health(self, series: Health) -> Health:
        """Add the state of the rebuild to the health of the series."""
        loss = self._loss
        detail = series.detail | {"missing": loss.missing}
        if not loss.done:
            text = f"being rebuilt ({loss.reason}): {self._doing}"
            return Health(False, text, detail)
        if not loss.permanent or not (self._home / losses.FILE).exists():
            return series
        described = "; ".join([_describe(loss), *loss.trouble])
        text = f"{described}: remove {losses.FILE} when you have seen it"
        return Health(False, "; ".join(filter(None, (series.message, text))), detail)

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self._rebuild()
                    return
                except Unavailable as error:
                    self._doing = f"waiting: {error}"
                    log.warning("the rebuild waits", error=str(error))
                    self._stop.wait(_RETRY_DELAY)
        except _Stopped:
            log.warning("the rebuild was interrupted; the next start begins it again")
        except Exception as error:
            log.exception("the rebuild failed")
            self._doing = f"it failed, the next start tries again: {error}"
        finally:
            for release in self._release:
                release()

    def _rebuild(self) -> None:
        self._loss.trouble = ()
        manifest, base = self._base()
        stores, loss = self._stores, self._loss
        rebuild = Rebuild(
            stores.journal, stores.series, stores.catalog, stores.settings,
            losses.checkpoints(self._home), base, not loss.everything, self._step,
        )  # fmt: skip
        report = rebuild.run()
        loss.rows = report.rows + (sum(manifest.rows.values()) if manifest else 0)
        loss.missing, loss.since, loss.until = report.missing, report.since, report.until
        if report.failed:
            self._add_trouble(
                f"{report.failed} messages broke a policy's code and were passed over"
            )
        if beyond := [part for part in loss.broken if part.partition("/")[0] not in RECORDS]:
            names = ", ".join(beyond)
            self._add_trouble(
                f"aggregates and last_n in damaged parts are as in the backup, if any ({names})"
            )
        loss.backup, loss.done = manifest.name if manifest else None, True
        log.warning(
            "the series is rebuilt", rows=loss.rows, missing=loss.missing, backup=loss.backup
        )
        losses.write(self._home, loss)
        losses.clear_checkpoints(self._home)
        if not loss.permanent:
            losses.clear(self._home)

    def _base(self) -> tuple[Manifest | None, Checkpoints]:
        """Load the newest usable backup into the series; return its manifest and checkpoints."""
        try:
            objects = _backups_of(self._stores.settings)
            chosen = None if objects is None else self._choose(objects)
        except Unavailable:
            raise
        except LakebedError as error:
            self._add_trouble(f"no backup was used: {error}")
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
                if not self._stores.lineage.contains(found):
                    continue
            if not problems:
                return found
            self._add_trouble(f"backup {name} is damaged: {problems[0]}")
        return None

    def _checkpoints(self, objects: Objects, manifest: Manifest) -> Checkpoints:
        with tempfile.TemporaryDirectory(dir=self._home, prefix="rebuild-") as folder:
            fetch(objects, manifest.catalog, Path(folder) / "catalog.db")
            with closing(open_catalog_in(Path(folder))) as catalog:
                return catalog.checkpoints(CONSUMER)

    def _step(self, read: int, total: int) -> None:
        self._note(f"{read} of {total} messages of the journal read again")

    def _note(self, doing: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._doing = doing

    def _add_trouble(self, text: str) -> None:
        self._loss.trouble = (*self._loss.trouble, text)


def _backups_of(settings: RebuildSettings) -> Objects | None:
    """Open the configured location of this home's backups, if any."""
    place = settings.backup.to
    if place is None:
        return None
    return open_objects(place if "://" in place else str(settings.home / place))


def _describe(loss: Loss) -> str:
    if not loss.missing:
        return f"the series was rebuilt ({loss.reason})"
    span = ""
    if loss.since is not None and loss.until is not None:
        span = f", received between {to_rfc3339(loss.since)} and {to_rfc3339(loss.until)}"
    return (
        f"the series was rebuilt ({loss.reason}), but {loss.missing} messages are in no backup and"
        f" not in the journal{span}"
    )
