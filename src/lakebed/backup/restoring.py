"""Reads backups: checks one, loads its series, and restores a home from it.

    manifest ──> all objects exist ──────> catalog.db, journal.db ─┐
                                     └──> series, part by part ────┴──> HOME/restore.new
                                                                            │ renamed at the end
                                                                            v
                                                                          HOME

Every object's SHA-256 is checked before it is used. The home is not changed until all new stores
have been written.
"""

import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lakebed.backup import lineage
from lakebed.backup.manifest import Manifest, StoredObject, damaged, digest
from lakebed.ports.objects import Objects
from lakebed.ports.series import Series, SeriesWriter
from lakebed.stores.home import EXCHANGING
from lakebed.system.advice import reason
from lakebed.system.files import remove_file, rename, write_file
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem, StoreUnavailable

_NEW = "restore.new"


@dataclass(frozen=True, slots=True)
class StorePaths:
    """The paths of a home's stores. `series` is None where a server has it."""

    home: Path
    catalog: Path
    journal: Path
    series: Path | None

    def stores(self) -> Iterator[Path]:
        for path in (self.catalog, self.journal, self.series):
            if path is not None:
                yield path


def check(objects: Objects, manifest: Manifest, contents: bool = True) -> list[Problem]:
    """Return the problems of a backup: missing objects, wrong sizes and, if asked, checksums."""
    sizes = {
        name: size for top in _top_folders(manifest) for name, size in objects.sizes(top).items()
    }
    found = []
    for piece in manifest.pieces():
        if piece.name not in sizes:
            found.append(Problem(piece.name, "it is missing"))
        elif sizes[piece.name] != piece.size:
            found.append(
                Problem(piece.name, f"it has {sizes[piece.name]} bytes and had {piece.size}")
            )
        elif contents and digest(objects.get(piece.name)) != piece.sha256:
            found.append(Problem(piece.name, "its checksum does not match: it is damaged"))
    return found


def _top_folders(manifest: Manifest) -> set[str]:
    return {piece.name.partition("/")[0] + "/" for piece in manifest.pieces()}


def load_series(
    objects: Objects, manifest: Manifest, series: SeriesWriter, done: Callable[[int], None]
) -> None:
    """Insert all rows of a backup. Idempotent.

    Args:
        done: called with the bytes of each object after it is inserted.

    Raises:
        Invalid: an object is damaged.
    """
    for part in manifest.series:
        for piece in part.pieces:
            series.write(part.table, _rows(objects, piece))
            done(piece.size)


def _rows(objects: Objects, piece: StoredObject) -> pa.Table:
    data = _checked(piece, objects.get(piece.name))
    return pq.read_table(io.BytesIO(data))


def _checked(piece: StoredObject, data: bytes) -> bytes:
    if digest(data) != piece.sha256:
        raise damaged(piece.name, "its checksum does not match: the backup is damaged")
    return data


def fetch(objects: Objects, piece: StoredObject, path: Path) -> None:
    """Write an object to a file, durably.

    Raises:
        Invalid: it is missing or damaged.
    """
    try:
        objects.fetch(piece.name, path)
    except NotFound:
        raise damaged(piece.name, "it is missing: the backup is incomplete") from None
    with path.open("rb") as file:
        if file_digest(file, "sha256").hexdigest() != piece.sha256:
            raise damaged(piece.name, "its checksum does not match: the backup is damaged")


def restore(
    objects: Objects,
    manifest: Manifest,
    paths: StorePaths,
    open_series: Callable[[Path], Series],
    replace: bool = False,
    prepare: Callable[[Path], None] = lambda path: None,
) -> list[Path]:
    """Restore the stores of a home. The caller holds the home's lock.

    Args:
        open_series: opens an embedded series at a path, or the server's, which ignores the path.
        replace: rename existing stores instead of refusing.
        prepare: makes the file of a catalog one of a new history, before it is used.

    Returns:
        the former stores, under their new names.

    Raises:
        Conflict: the home has stores already.
        Invalid: the backup is incomplete or damaged.
    """
    there = [path for path in paths.stores() if path.exists()]
    if there and not replace:
        names = ", ".join(path.name for path in there)
        raise Conflict(f"{paths.home} has stores already ({names}): name another, or --replace")
    if problems := check(objects, manifest, contents=False):
        raise Invalid(*problems)
    new = paths.home / _NEW
    shutil.rmtree(new, ignore_errors=True)  # of a restore that was interrupted
    try:
        new.mkdir(parents=True)
        fetch(objects, manifest.catalog, new / "catalog")
        prepare(new / "catalog")
        if manifest.journal is not None:
            fetch(objects, manifest.journal, new / "journal")
        with closing(open_series(new / "series")) as series:
            load_series(objects, manifest, series, lambda _: None)
        return _swap_stores(paths, new, manifest)
    except OSError as error:
        raise StoreUnavailable(f"cannot restore to {paths.home}: {reason(error)}") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap_stores(paths: StorePaths, new: Path, manifest: Manifest) -> list[Path]:
    """Rename the former stores, then move the new ones to their paths."""
    write_file(paths.home / EXCHANGING, b"")
    suffix = f".before-restore-{times.now()}"
    renamed = []
    for name, path in (("catalog", paths.catalog), ("journal", paths.journal)):
        renamed += [rename_former(path, suffix)] if path.exists() else []
        for log in (f"{path}-wal", f"{path}-shm"):  # of the former file, with its content
            if Path(log).exists():
                rename_former(Path(log), suffix)
        if (new / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rename(new / name, path)
    if paths.series is not None:
        renamed += [rename_former(paths.series, suffix)] if paths.series.exists() else []
        rename(new / "series", paths.series)
    for note in paths.home.glob("series.lost.*"):  # of the former series
        remove_file(note)
    lineage.save(paths.home, lineage.of_home(paths.home).fork(manifest))
    remove_file(paths.home / EXCHANGING)
    return renamed


def rename_former(path: Path, suffix: str) -> Path:
    """Rename a replaced store; we never delete it. WAL files stay named after their database."""
    base, dash, log = path.name.rpartition("-")
    name = f"{base}{suffix}{dash}{log}" if log in ("wal", "shm") else f"{path.name}{suffix}"
    rename(path, path.with_name(name))
    return path.with_name(name)
