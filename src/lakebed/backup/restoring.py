"""Reads backups: checks one, loads its series, and makes a home of it.

    manifest ──> every object is there ──> catalog.db, journal.db ─┐
                                     └──> series, part by part ────┴──> HOME/restore.new
                                                                            │ renamed at the end
                                                                            v
                                                                          HOME

Every object's SHA-256 is compared before it is used; nothing in the home is touched until all of it
has been written beside.
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
from lakebed.backup.manifest import Manifest, Piece, damaged, digest
from lakebed.ports.objects import Objects
from lakebed.ports.series import Series, SeriesWriter
from lakebed.stores.home import EXCHANGING
from lakebed.system.files import remove_file, rename, write_file
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem

_NEW = "restore.new"


@dataclass(frozen=True, slots=True)
class Places:
    """Where the stores of a home are. `series` is None where that is a server's."""

    home: Path
    catalog: Path
    journal: Path
    series: Path | None

    def stores(self) -> Iterator[Path]:
        for path in (self.catalog, self.journal, self.series):
            if path is not None:
                yield path


def check(objects: Objects, manifest: Manifest, contents: bool = True) -> list[Problem]:
    """What is wrong with a backup: objects missing, of another size or, if asked, content."""
    sizes = {name: size for top in _tops(manifest) for name, size in objects.sizes(top).items()}
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


def _tops(manifest: Manifest) -> set[str]:
    return {piece.name.partition("/")[0] + "/" for piece in manifest.pieces()}


def load_series(
    objects: Objects, manifest: Manifest, series: SeriesWriter, done: Callable[[int], None]
) -> None:
    """Insert all rows of a backup; doing it again changes nothing.

    Args:
        done: told the bytes of each object that is in.

    Raises:
        Invalid: an object is damaged.
    """
    for part in manifest.series:
        for piece in part.pieces:
            series.write(part.table, _rows(objects, piece))
            done(piece.size)


def _rows(objects: Objects, piece: Piece) -> pa.Table:
    data = _checked(piece, objects.get(piece.name))
    return pq.read_table(io.BytesIO(data))


def _checked(piece: Piece, data: bytes) -> bytes:
    if digest(data) != piece.sha256:
        raise damaged(piece.name, "its checksum does not match: the backup is damaged")
    return data


def fetch(objects: Objects, piece: Piece, path: Path) -> None:
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
    places: Places,
    open_series: Callable[[Path], Series],
    replace: bool = False,
) -> list[Path]:
    """Make the stores of a home what they were in the backup. Nobody may use the home meanwhile.

    Args:
        open_series: opens a series store at a path, or the server's where that has no path.
        replace: put stores that are there aside instead of refusing.

    Returns:
        the former stores, under their new names.

    Raises:
        Conflict: the home has stores already.
        Invalid: the backup is incomplete or damaged.
    """
    there = [path for path in places.stores() if path.exists()]
    if there and not replace:
        names = ", ".join(path.name for path in there)
        raise Conflict(f"{places.home} has stores already ({names}): name another, or --replace")
    if problems := check(objects, manifest, contents=False):
        raise Invalid(*problems)
    new = places.home / _NEW
    shutil.rmtree(new, ignore_errors=True)  # of a restore that was interrupted
    new.mkdir(parents=True)
    try:
        fetch(objects, manifest.catalog, new / "catalog")
        if manifest.journal is not None:
            fetch(objects, manifest.journal, new / "journal")
        with closing(open_series(new / "series")) as series:
            load_series(objects, manifest, series, lambda _: None)
        return _exchange(places, new, manifest)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _exchange(places: Places, new: Path, manifest: Manifest) -> list[Path]:
    """Put what was written beside into its place, and what was there aside."""
    write_file(places.home / EXCHANGING, b"")
    suffix = f".before-restore-{times.now()}"
    aside = []
    for name, path in (("catalog", places.catalog), ("journal", places.journal)):
        aside += [put_aside(path, suffix)] if path.exists() else []
        for log in (f"{path}-wal", f"{path}-shm"):  # of the former file, with its content
            if Path(log).exists():
                put_aside(Path(log), suffix)
        if (new / name).exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            rename(new / name, path)
    if places.series is not None:
        aside += [put_aside(places.series, suffix)] if places.series.exists() else []
        rename(new / "series", places.series)
    for note in places.home.glob("series.lost.*"):  # of the former series
        remove_file(note)
    lineage.save(places.home, lineage.of_home(places.home).fork(manifest))
    remove_file(places.home / EXCHANGING)
    return aside


def put_aside(path: Path, suffix: str) -> Path:
    """Rename a store that is replaced; never deleted by us. WAL files keep their file's name."""
    base, dash, log = path.name.rpartition("-")
    name = f"{base}{suffix}{dash}{log}" if log in ("wal", "shm") else f"{path.name}{suffix}"
    rename(path, path.with_name(name))
    return path.with_name(name)
