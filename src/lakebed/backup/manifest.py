"""The manifest: the contents of a backup, and the layout of its location.

    manifests/NAME.json                          written last: without it there is no backup
    catalog/NAME.db   journal/NAME.db            SQLite files
    series/TABLE/PARTITION/HASH-PIECE.parquet    shared by all backups that have the part

A manifest carries its own SHA-256 and that of every object it names.
"""

import hashlib
from collections.abc import Iterator

import msgspec

from lakebed.ports.objects import Objects
from lakebed.vocabulary.errors import Invalid, NotFound, Problem
from lakebed.vocabulary.times import Micros

FORMAT = 1
_FOLDER = "manifests/"


class StoredObject(msgspec.Struct, frozen=True):
    """One object of a backup. `size` in bytes, `sha256` in hex."""

    name: str
    size: int
    sha256: str


class StoredPart(msgspec.Struct, frozen=True):
    """One part of a table of the series; `hash` is ClickHouse's hash of its files."""

    table: str
    partition: str
    hash: str
    rows: int
    pieces: tuple[StoredObject, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup.

    Attributes:
        lakebed: the version that wrote it.
        taken: the moment at which it is consistent, microseconds.
        lineage: name of the home's history; see `lineage.py`.
        position: for each partition the offset up to which it has the messages.
        saved: for each partition the offset up to which they are in the series; the others are in
            the journal, and the keeper processes them at the first start.
        messages: messages accepted up to then.
        written: bytes that this backup added to its location; the other objects existed.
    """

    format: int
    lakebed: str
    name: str
    taken: Micros
    lineage: str
    position: dict[int, int]
    saved: dict[int, int]
    messages: int
    written: int
    catalog: StoredObject
    journal: StoredObject | None
    series: tuple[StoredPart, ...]

    def pieces(self) -> Iterator[StoredObject]:
        yield self.catalog
        if self.journal is not None:
            yield self.journal
        for part in self.series:
            yield from part.pieces

    @property
    def size(self) -> int:
        """Bytes of all its objects."""
        return sum(piece.size for piece in self.pieces())

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table, replaced ones included."""
        counts: dict[str, int] = {}
        for part in self.series:
            counts[part.table] = counts.get(part.table, 0) + part.rows
        return counts


class _Signed(msgspec.Struct):
    sha256: str
    manifest: msgspec.Raw


_decode_signed = msgspec.json.Decoder(_Signed).decode
_decode = msgspec.json.Decoder(Manifest).decode


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(objects: Objects, manifest: Manifest) -> None:
    """Write the manifest, which completes the backup: its objects must exist already."""
    body = msgspec.json.encode(manifest)
    signed = msgspec.json.encode(_Signed(digest(body), msgspec.Raw(body)))
    objects.put(_object(manifest.name), signed)


def names(objects: Objects) -> list[str]:
    """The names of the backups there, the oldest first: names begin with the time."""
    found = (name.removeprefix(_FOLDER) for name in objects.sizes(_FOLDER))
    return sorted(name.removesuffix(".json") for name in found if name.endswith(".json"))


def read(objects: Objects, name: str) -> Manifest:
    """Read and verify a manifest.

    Raises:
        NotFound: there is none of that name.
        Invalid: it is damaged or of a newer Lakebed.
    """
    data = objects.get(_object(name))
    try:
        signed = _decode_signed(data)
        if digest(bytes(signed.manifest)) != signed.sha256:
            raise damaged(_object(name), "its checksum does not match")
        form = msgspec.json.decode(signed.manifest)["format"]
        if form != FORMAT:
            what = f"it is of format {form}, this Lakebed reads {FORMAT}: use the one that wrote it"
            raise damaged(_object(name), what)
        return _decode(signed.manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise damaged(_object(name), f"it is not a manifest ({error})") from None


def choose(objects: Objects, name: str | None) -> Manifest:
    """Read the manifest of that name, or the newest.

    Raises:
        NotFound: there is none.
        Invalid: its manifest is damaged.
    """
    there = names(objects)
    if not there:
        raise NotFound(f"{objects.location} holds no complete backup")
    if name is not None and name not in there:
        raise NotFound(f"{objects.location} holds no backup {name}, but {', '.join(there)}")
    return read(objects, name or there[-1])


def remove(objects: Objects, name: str) -> None:
    """Delete a backup's manifest; `taking.sweep` deletes objects that no manifest names."""
    objects.delete(_object(name))


def damaged(where: str, what: str) -> Invalid:
    return Invalid(Problem(where, what))


def _object(name: str) -> str:
    return f"{_FOLDER}{name}.json"
