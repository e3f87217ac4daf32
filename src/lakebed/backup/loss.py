"""Detects that the series is lost or damaged, and records it in the catalog until it is rebuilt.

    tables there ─────────────────────────────────────────────────> no loss
    none of them there, while a keeper has worked ────────────────> lost
    one that was created before is not there ─────────────────────> that table is lost
    damaged parts are detached ───────────────────────────────────> those parts are lost, unless the
                                                         parts that they were merged from are there
    an embedded one does not open ──> its folder is renamed ──────> lost

    catalog, one transaction: the loss, copies of the keepers' checkpoints, a claim of each of
    their partitions ──> only then the tables are created ──> rebuilding.py

The rebuild begins at the copied checkpoints, whichever process does it and however often it is
interrupted. By the claims the keepers that are at work lose their partitions, and begin again at
the same checkpoints: rows that they wrote after these were lost with the tables. The record stays
until the rebuild is complete; where something is lost for ever, until an operator acknowledges it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from lakebed.backup.restoring import rename_former
from lakebed.keeper.ledger import CONSUMER
from lakebed.kinds import TABLES
from lakebed.ports.catalog.checkpoints import Checkpoint, TransactionalCheckpoints
from lakebed.ports.catalog.notes import NoteStore
from lakebed.ports.series import Missing, Series
from lakebed.stores.opening import StoreSettings, open_series
from lakebed.system.disk import room_at
from lakebed.system.files import remove_file
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, NotFound, StoreUnavailable
from lakebed.vocabulary.times import Micros, to_rfc3339

log = structlog.get_logger(__name__)

_LOSS, _KNOWN, _CREATED = "series.loss", "series.damage.known", "series.tables"
"""Notes in the catalog. Known are damaged parts that were detected before: the store keeps them
detached and reports them at every start. Created are tables that there once were."""
WORK = "series.rebuild"
"""The note of the lease: which process rebuilds, and its progress."""
COPY = "keeper.lost"
"""The consumer under whose name the copies of checkpoints are."""
_FILES = ("series.lost.json", "series.lost.checkpoints", "series.lost.known")
"""In the home of an earlier version: the loss, the checkpoints, what is known."""
_NOT_DAMAGE = re.compile(
    r"no space|not_enough_space|permission denied|read-only|too many open files|memory|"
    r"already in use|resource temporarily|cannot lock|locked",
    re.IGNORECASE,
)
"""Errors of an undamaged store, whose cause an operator must remove."""

Checkpoints = Mapping[int, Sequence[Checkpoint]]


class LossCatalog(TransactionalCheckpoints, NoteStore, Protocol):
    """The part of the catalog that detecting and recording losses needs."""


class Loss(msgspec.Struct):
    """A loss of the whole series, of tables or of parts, and the result of its rebuild.

    Attributes:
        at: when it was detected, microseconds.
        everything: whether no table was left; else `tables` and `broken` name tables and parts.
        renamed_to: the path that the broken folder was renamed to.
        created: whether the tables were created again since.
        done: whether the rebuild is complete; the fields below are its result.
        backup: the name of the backup that it started from.
        missing: messages that are in neither backup nor journal; received between `since` and
            `until`.
        trouble: other things that could not be rebuilt, one sentence each.
        remarks: what else is worth knowing; nothing is missing for it.
        before: earlier losses that nobody had acknowledged, one sentence each.
    """

    reason: str
    at: Micros
    everything: bool = True
    broken: tuple[str, ...] = ()
    renamed_to: str | None = msgspec.field(default=None, name="aside")
    done: bool = False
    backup: str | None = None
    rows: int = 0
    missing: int = 0
    since: Micros | None = None
    until: Micros | None = None
    trouble: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    created: bool = False
    remarks: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    @property
    def permanent(self) -> bool:
        """Whether something cannot be rebuilt."""
        return self.missing > 0 or bool(self.trouble) or bool(self.before)

    @property
    def description(self) -> str:
        """The result of its rebuild, for an operator."""
        text = f"the series was rebuilt ({self.reason})"
        if self.missing:
            span = ""
            if self.since is not None and self.until is not None:
                first, last = to_rfc3339(self.since), to_rfc3339(self.until)
                span = f", received between {first} and {last}"
            text += f", but {self.missing} messages are in no backup and not in the journal{span}"
        return "; ".join([text, *self.trouble, *self.before])


# --- the record -----------------------------------------------------------------------------------


def read(catalog: NoteStore) -> Loss | None:
    text = catalog.note(_LOSS)
    return None if text is None else _decode(text)


def _decode(text: str | bytes) -> Loss:
    try:
        return msgspec.json.decode(text, type=Loss)
    except msgspec.MsgspecError as error:
        return Loss(f"its note cannot be read ({error})", times.now())


def _write(catalog: NoteStore, loss: Loss) -> None:
    catalog.write_note(_LOSS, msgspec.json.encode(loss).decode())


def is_unfinished(catalog: NoteStore) -> bool:
    """Whether a rebuild is needed or at work: the journal keeps everything for it."""
    loss = read(catalog)
    return loss is not None and not loss.done


def finish(catalog: LossCatalog, result: Loss) -> None:
    """Record the result of a rebuild, unless another process has finished it, or lost it again."""
    with catalog.transaction():
        _lock_record(catalog)
        noted = read(catalog)
        if noted is None or noted.done or noted.at != result.at:
            return
        _copy(catalog, {})
        catalog.write_note(WORK, None)
        if result.permanent:
            _write(catalog, result)
        else:
            catalog.write_note(_LOSS, None)


def acknowledge(catalog: LossCatalog, missing: int) -> Loss:
    """Delete the record, because an operator has seen what is lost; return it.

    Raises:
        NotFound: there is nothing to acknowledge.
        Conflict: the rebuild is at work, or another number of messages is missing.
    """
    with catalog.transaction():
        _lock_record(catalog)
        loss = read(catalog)
        if loss is None:
            raise NotFound("nothing of the series is lost")
        if not loss.done:
            raise Conflict("the series is being rebuilt: what is lost is known afterwards")
        if loss.missing != missing:
            raise Conflict(f"{loss.missing} messages are missing, not {missing}: look again")
        catalog.write_note(_LOSS, None)
    log.warning("the loss of the series is acknowledged", loss=loss.description)
    return loss


def checkpoints(catalog: LossCatalog) -> dict[int, list[Checkpoint]]:
    """The keepers' checkpoints when the loss was detected: every rebuild starts there."""
    return catalog.checkpoints(COPY)


def _copy(catalog: LossCatalog, parts: Checkpoints) -> None:
    """Replace the copies of checkpoints by these."""
    for partition, former in catalog.checkpoints(COPY).items():
        kept = {part.part for part in parts.get(partition, ())}
        catalog.save_checkpoints(
            COPY, partition, [], [part.part for part in former if part.part not in kept]
        )
    for partition, found in parts.items():
        catalog.save_checkpoints(COPY, partition, found)


def _lock_record(catalog: LossCatalog) -> None:
    """Lock the record until the end of the transaction, so that processes change it in turn."""
    catalog.claim(COPY, 0)


# --- detection ------------------------------------------------------------------------------------


def open_detecting_loss(
    settings: StoreSettings, catalog: LossCatalog
) -> tuple[Series, Loss | None]:
    """Open the series; return it with the loss that was detected now or recorded before.

    Raises:
        StoreUnavailable: it does not open, for a reason other than damage.
    """
    _take_over_files(settings.home, catalog)
    series, reason, renamed_to = _open(settings)
    try:
        with catalog.transaction():
            _lock_record(catalog)
            loss = _detect(series.missing(), catalog, reason, renamed_to)
        series.migrate()
        return series, _note_created(catalog, loss)
    except BaseException:
        series.close()
        raise


def record_damage(series: Series, catalog: LossCatalog) -> Loss | None:
    """Record parts that an open series has detached as damaged; return the loss as recorded.

    The keepers begin again at their checkpoints, as for parts that are damaged at the start.
    """
    with catalog.transaction():
        _lock_record(catalog)
        detached = replace(series.missing(), everything=False, tables=())
        loss = _detect(detached, catalog, "", None)
    return _note_created(catalog, loss)


def _open(settings: StoreSettings) -> tuple[Series, str, str | None]:
    """Open it without creating tables; first rename the folder of a series that does not open."""
    try:
        return open_series(settings, make=False), "it was not there", None
    except StoreUnavailable as error:
        folder = _embedded_folder(settings)
        if folder is None or not folder.exists() or _is_undamaged(folder, error):
            raise
        renamed_to = str(rename_former(folder, f".broken-{times.now()}"))
        log.error(
            "the series does not open and is renamed", error=str(error), renamed_to=renamed_to
        )
        return open_series(settings, make=False), f"it did not open: {error}", renamed_to


def _is_undamaged(folder: Path, error: StoreUnavailable) -> bool:
    """Whether the cause is not damage: a full disk, for one, makes all kinds of errors."""
    return bool(_NOT_DAMAGE.search(str(error))) or not room_at(folder).some


def _embedded_folder(settings: StoreSettings) -> Path | None:
    """The folder of an embedded series, else None."""
    scheme, _, path = settings.series.url.partition(":")
    return settings.home / path.removeprefix("//") if scheme == "chdb" else None


def _detect(
    missing: Missing, catalog: LossCatalog, reason: str, renamed_to: str | None
) -> Loss | None:
    """Record a loss that was not recorded before."""
    noted, workers = read(catalog), catalog.claimed(CONSUMER)
    known = _names(catalog, _KNOWN)
    reported = {*missing.broken, *missing.covered}
    if new := reported - known:
        log.warning("the store has detached damaged parts", parts=sorted(new))
    if reported != known:
        _write_names(catalog, _KNOWN, reported)
    found = _found(missing, noted, known, _names(catalog, _CREATED), reason)
    if found is None or not (workers or catalog.checkpoints(CONSUMER)):
        return noted
    found.renamed_to = renamed_to or (
        noted.renamed_to if noted is not None and not noted.done else None
    )
    log.error(
        "the series is lost, in whole or in part", reason=found.reason, renamed_to=found.renamed_to
    )
    for partition in {*workers, *catalog.checkpoints(CONSUMER)}:
        catalog.claim(CONSUMER, partition)
    _copy(catalog, catalog.checkpoints(CONSUMER))
    _write(catalog, found)
    return found


def _found(
    missing: Missing, noted: Loss | None, known: set[str], created: set[str], reason: str
) -> Loss | None:
    """The loss now, including one that is being rebuilt; None if nothing new is lost."""
    tables = tuple(name for name in missing.tables if name in created)
    broken = tuple(part for part in missing.broken if part not in known)
    if not (missing.everything or tables or broken):
        return None
    if missing.everything:
        found = Loss(reason, times.now())
    elif tables:
        reason = f"the tables {', '.join(tables)} were not there"
        found = Loss(reason, times.now(), everything=False, tables=tables, broken=broken)
    else:
        names = _abbreviated(broken)
        reason = f"{len(broken)} parts were damaged, and the store detached them: {names}"
        found = Loss(reason, times.now(), everything=False, broken=broken)
    if noted is None:
        return found
    if noted.done:
        found.before = (*noted.before, noted.description) if noted.permanent else ()
        return found
    if not noted.created and _covers(noted, missing.everything, tables, broken):
        return noted  # another process has just found the same
    found.before = noted.before
    if not found.everything:
        found.everything = noted.everything
        found.tables = tuple(dict.fromkeys((*noted.tables, *found.tables)))
        found.broken = tuple(dict.fromkeys((*noted.broken, *found.broken)))
    return found


def _abbreviated(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _covers(
    noted: Loss, everything: bool, tables: tuple[str, ...], broken: tuple[str, ...]
) -> bool:
    if noted.everything:
        return True
    return not everything and {*tables} <= {*noted.tables} and {*broken} <= {*noted.broken}


def _note_created(catalog: LossCatalog, loss: Loss | None) -> Loss | None:
    """Record that all tables are there; return the loss as it is recorded now."""
    if (loss is None or loss.created) and _names(catalog, _CREATED) == set(TABLES):
        return loss
    with catalog.transaction():
        _lock_record(catalog)
        _write_names(catalog, _CREATED, TABLES)
        noted = read(catalog)
        if noted is not None and not noted.created:
            noted.created = True
            _write(catalog, noted)
    return noted


def _names(catalog: NoteStore, note: str) -> set[str]:
    text = catalog.note(note)
    return set() if text is None else set(msgspec.json.decode(text, type=list[str]))


def _write_names(catalog: NoteStore, note: str, names: "set[str] | Mapping[str, object]") -> None:
    catalog.write_note(note, msgspec.json.encode(sorted(names)).decode())


# --- homes of earlier versions --------------------------------------------------------------------


def _take_over_files(home: Path, catalog: LossCatalog) -> None:
    """Move the record of an earlier version from the home to the catalog."""
    paths = [home / name for name in _FILES]
    if not any(path.exists() for path in paths):
        return
    loss, copies, known = (path.read_bytes() if path.exists() else None for path in paths)
    with catalog.transaction():
        _lock_record(catalog)
        if loss is not None and read(catalog) is None:
            noted = _decode(loss)
            noted.created = True
            if copies is not None:
                _copy(catalog, msgspec.msgpack.decode(copies, type=dict[int, list[Checkpoint]]))
            elif not noted.done:  # it was interrupted before they were written
                _copy(catalog, catalog.checkpoints(CONSUMER))
            if not noted.done or noted.permanent:
                _write(catalog, noted)
        if known is not None:
            names = msgspec.json.decode(known, type=list[str])
            _write_names(catalog, _KNOWN, {*names, *_names(catalog, _KNOWN)})
    for path in paths:
        remove_file(path)
