"""Takes a backup of stores that are in use.

    keeper is quiesced ────> catalog copied ─> tables cloned ─> journal pinned ─> it goes on
                                  │                │                │
                                  v                v                v
                              catalog.db     parts by hash     journal.db     written afterwards
                                  └────────────────┴────────────────┘
                                                   v
                                         manifest, last of all

The state captured while the keeper is quiesced equals that after a crash: the catalog's
checkpoints, a series that is not ahead of them, and a journal that reaches further than both. So a
restored home starts as after a crash, and replay gives the same answers. Sources are not stopped:
an append waits for nothing.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
import structlog

from lakebed import __version__
from lakebed.backup import manifest as manifests
from lakebed.backup.lineage import Lineage
from lakebed.backup.manifest import Manifest, StoredObject, StoredPart, digest
from lakebed.keeper import ledger as ledgers
from lakebed.ports.catalog.catalog import Copyable
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.journal.backup import JournalSnapshot, Snapshots
from lakebed.ports.objects import Objects
from lakebed.ports.series import Part, SeriesSnapshot, SeriesSnapshots
from lakebed.system.advice import reason
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, Invalid, StoreUnavailable, Unavailable

log = structlog.get_logger(__name__)

_PIECE = 32 * 2**20  # bytes of rows in memory for one object, about
_LEAST, _MOST = 1_000, 1_000_000  # rows of an object, whatever their size
_SCRATCH = "backup-"  # prefix of the folders for temporary files
_FOLDERS = {"manifests", "catalog", "journal", "series"}


class Cancelled(Unavailable):
    """The backup was cancelled; it has no manifest."""


class BackedUpCatalog(Copyable, CheckpointReader, Protocol):
    """The part of the catalog that a backup needs."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores to back up.

    Attributes:
        scratch: a folder for temporary files.
        quiesce: a context in which nothing is written to series and checkpoints.
    """

    catalog: BackedUpCatalog
    journal: Snapshots
    series: SeriesSnapshots
    lineage: Lineage
    scratch: Path
    quiesce: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(slots=True)
class Progress:
    """The progress of a backup; `done` and `total` are bytes."""

    doing: str = "waiting for the keeper to come to rest"
    done: int = 0
    total: int = 0
    cancelled: bool = False

    def step(self, doing: str) -> None:
        if self.cancelled:
            raise Cancelled("the backup was cancelled")
        self.doing = doing


def take(
    stores: Stores, objects: Objects, progress: Progress | None = None, take_over: bool = False
) -> Manifest:
    """Write one backup; it exists when the call returns.

    Args:
        take_over: whether a restored home may back up to the location of its original, which
            cannot back up there any more.

    Raises:
        Conflict: the location has other files, or backups of another home.
        Unsupported: a store of this kind cannot be backed up like this.
        Unavailable: a store does not answer, or the backup was cancelled; the next `sweep` removes
            its objects.
    """
    progress = progress or Progress()
    before = _previous(objects, stores.lineage, take_over)
    for left in stores.scratch.glob(f"{_SCRATCH}*"):  # of a backup that was killed
        shutil.rmtree(left, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=stores.scratch, prefix=_SCRATCH) as folder:
            return _take(stores, objects, before, progress, Path(folder))
    except OSError as error:
        what = f"cannot copy catalog and journal within the home, to {stores.scratch}"
        raise StoreUnavailable(f"{what}: {reason(error)}") from error


def _take(
    stores: Stores, objects: Objects, before: Manifest | None, progress: Progress, folder: Path
) -> Manifest:
    with ExitStack() as stack:
        catalog, copied = folder / "catalog.db", folder / "journal.db"
        with stores.quiesce():
            taken = times.now()
            ledger = ledgers.load(stores.catalog)
            saved = _saved(stores.catalog)
            stores.catalog.copy(catalog)
            series = stores.series.snapshot()
            stack.callback(_close, series)
            journal = stores.journal.snapshot()
            stack.callback(journal.close)
        name = f"{_stamp(taken)}-{os.urandom(3).hex()}"
        writer = _Writer(objects, progress)
        progress.step("writing the journal")
        journal.write(copied)
        kept = writer.file(f"journal/{name}.db", copied)
        journal.close()
        made = Manifest(
            format=manifests.FORMAT,
            lakebed=__version__,
            name=name,
            taken=taken,
            lineage=stores.lineage.name,
            position=dict(journal.end),
            saved=saved or dict(journal.start),
            messages=ledger.messages + _count_waiting(journal, ledger.offsets),
            catalog=writer.file(f"catalog/{name}.db", catalog),
            journal=kept,
            series=tuple(_series(writer, series, _reusable(objects, before))),
            written=writer.written,
        )
    progress.step("writing the manifest")
    manifests.write(objects, made)
    log.info("backup taken", place=objects.location, name=name, bytes=made.size, new=made.written)
    return made


class _Writer:
    """Stores objects and computes their checksums."""

    def __init__(self, objects: Objects, progress: Progress) -> None:
        self._objects, self._progress = objects, progress
        self.written = 0

    def step(self, doing: str) -> None:
        self._progress.step(doing)

    def total(self, size: int) -> None:
        self._progress.total = size

    def done(self, size: int) -> None:
        self._progress.done += size

    def file(self, name: str, path: Path) -> StoredObject:
        with path.open("rb") as file:
            checksum = file_digest(file, "sha256").hexdigest()
        self._objects.put(name, path)
        self.written += path.stat().st_size
        return StoredObject(name, path.stat().st_size, checksum)

    def data(self, name: str, data: bytes) -> StoredObject:
        self._objects.put(name, data)
        self.written += len(data)
        return StoredObject(name, len(data), digest(data))


def _series(
    writer: _Writer, series: SeriesSnapshot, reusable: Mapping[tuple[str, str, str], StoredPart]
) -> Iterator[StoredPart]:
    parts = series.parts()
    writer.total(sum(part.size for part in parts))
    for part in parts:
        writer.step(f"writing {part.table}, partition {part.partition}")
        known = reusable.get((part.table, part.partition, part.hash))
        yield _part(writer, series, part) if known is None else known
        writer.done(part.size)


def _part(writer: _Writer, series: SeriesSnapshot, part: Part) -> StoredPart:
    rows = min(max(_PIECE * part.rows // max(1, part.size), _LEAST), _MOST)
    pieces = []
    for number, table in enumerate(series.read(part, rows)):
        writer.step(f"writing {part.table}, partition {part.partition}")
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        name = f"series/{part.table}/{part.partition}/{part.hash}-{number}.parquet"
        pieces.append(writer.data(name, buffer.getvalue()))
    return StoredPart(part.table, part.partition, part.hash, part.rows, tuple(pieces))


def _previous(objects: Objects, lineage: Lineage, take_over: bool) -> Manifest | None:
    """The newest readable backup there: its parts may be reused."""
    strange = objects.folders() - _FOLDERS
    if strange:
        some = ", ".join(sorted(strange)[:3])
        raise Conflict(f"{objects.location} holds other things ({some}): name an empty folder")
    for name in reversed(manifests.names(objects)):
        with suppress(Invalid):  # damaged: its objects are not trusted
            found = manifests.read(objects, name)
            if found.lineage in lineage.former and not take_over:
                raise Conflict(
                    f"{objects.location} holds the backups of the home that this one was restored"
                    " from: name a folder of its own, or --take-over if that home is gone"
                )
            if found.lineage not in (lineage.name, *lineage.former):
                raise Conflict(
                    f"{objects.location} holds backups of another home: name a folder of its own"
                )
            return found
    return None


def _reusable(objects: Objects, before: Manifest | None) -> dict[tuple[str, str, str], StoredPart]:
    """The parts of an earlier backup whose objects still exist."""
    if before is None:
        return {}
    sizes = objects.sizes("series/")
    return {
        (part.table, part.partition, part.hash): part
        for part in before.series
        if all(sizes.get(piece.name) == piece.size for piece in part.pieces)
    }


def _saved(catalog: CheckpointReader) -> dict[int, int]:
    found = catalog.checkpoints(ledgers.CONSUMER).items()
    return {partition: min(part.offset for part in parts) for partition, parts in found if parts}


def _count_waiting(journal: JournalSnapshot, counted: Mapping[int, int]) -> int:
    """Messages behind the ledger: a difference of offsets, which have gaps only after damage."""
    return sum(
        max(0, end - counted.get(partition, journal.start[partition]))
        for partition, end in journal.end.items()
    )


def _close(series: SeriesSnapshot) -> None:
    try:
        series.close()
    except Unavailable as error:  # the next snapshot drops it
        log.warning("the snapshot of the series was not dropped", error=str(error))


def _stamp(at: times.Micros) -> str:
    """`20260131T120000123456Z`: of one length, so that names sort by time."""
    return times.to_datetime(at).strftime("%Y%m%dT%H%M%S%fZ")


def sweep(objects: Objects, keep: int | None = None) -> list[str]:
    """Remove all but the newest `keep` backups, and unused objects; return the removed backups.

    While a manifest is unreadable no object is removed, because it may name any of them.
    """
    there = manifests.names(objects)
    gone = there[:-keep] if keep else []
    for name in gone:
        manifests.remove(objects, name)
    try:
        needed = {
            piece.name
            for name in there[len(gone) :]
            for piece in manifests.read(objects, name).pieces()
        }
    except Invalid as error:
        log.error("a damaged manifest keeps old objects from being removed", error=str(error))
        return gone
    for folder in ("series/", "catalog/", "journal/"):
        for name in objects.sizes(folder):
            if name not in needed:
                objects.delete(name)
    return gone
