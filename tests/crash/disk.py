"""A disk that forgets: what a power loss leaves of the files that `recorder.c` watched.

    log ──> Disk: every file as it is, and as its last fsync left it
                    └── lose_power(dice) ──> the same folder, as the lights going out may leave it

The rules are those of a journaling file system at its worst that POSIX allows:

* What an fsync of a file covered is there. Of writes after it, any or none are there, whole or
  torn at a sector; so with its length.
* Names change in order. An fsync of a folder makes every earlier change of names durable; of those
  after it, the first few are there, or none. An fsync of a file says nothing about its name.
"""

import os
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("<B3xiqQ")
_SECTOR = 512
_EXCHANGE = 2  # flag of renameat2
_TRANSIENT = ("-shm",)
"""Ends of files that are memory between processes: SQLite makes them anew."""


class Note(NamedTuple):
    """What one call did. `op` is the letter in recorder.c."""

    op: str
    fd: int
    at: int
    data: bytes


def read_log(path: Path) -> Iterator[Note]:
    """The notes in the order in which things happened; one torn by a kill ends them."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            op, fd, at, size = _HEAD.unpack(head)
            data = file.read(size)
            if len(data) < size:
                return
            yield Note(chr(op), fd, at, data)


@dataclass(slots=True, eq=False)
class File:
    """`now` is what programs see, `safe` what the last fsync left, `since` what came after."""

    now: bytearray = field(default_factory=bytearray)
    safe: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: cut to this length

    def change(self, at: int, data: bytes | None) -> None:
        _apply(self.now, at, data)
        self.since.append((at, data))

    def sync(self, covered: int) -> None:
        for at, data in self.since[:covered]:
            _apply(self.safe, at, data)
        del self.since[:covered]

    def after_power_loss(self, dice: random.Random) -> bytes:
        left = bytearray(self.safe)
        share = dice.choice((0.0, 0.5, 1.0))
        for at, data in self.since:
            if dice.random() >= share:
                continue
            if data is not None and dice.random() < 0.3:
                data = data[: dice.randrange(0, len(data) + _SECTOR, _SECTOR)]
            _apply(left, at, data)
        return bytes(left)


def _apply(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        data = b""
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


Names = dict[str, File | None]
"""Path below the root -> file, or None for a folder."""

Renaming = tuple[str, str | None, File | None]
"""From a name to another (None: removed), or ("", name, file): made."""


class Disk:
    """The files below `root`, followed through a log from what is there now."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.names: Names = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                continue
            if path.is_dir():
                self.names[name] = None
            else:
                content = path.read_bytes()
                self.names[name] = File(bytearray(content), bytearray(content))
        self._safe_names = dict(self.names)
        self._changes: list[Renaming] = []
        self._open: dict[int, File | None] = {}
        self._begun: dict[int, tuple[File | None, int]] = {}

    def follow(self, note: Note) -> None:
        """Let one note of the log happen."""
        match note.op:
            case "O":
                self._opened(note)
            case "C":
                self._open.pop(note.fd, None)
            case "W" | "T":
                file = self._open[note.fd]
                assert file is not None
                file.change(note.at, note.data if note.op == "W" else None)
            case "F":
                file = self._open[note.fd]
                covered = len(self._changes) if file is None else len(file.since)
                self._begun[note.fd] = file, covered
            case "f":
                self._synced(*self._begun.pop(note.fd))
            case "U":
                self._change((self._name(note.data), None, None))
            case "M":
                self._change(("", self._name(note.data), None))
            case "R" | "L":
                old, _, new = note.data.partition(b"\0")
                source, target = self._name(old), self._name(new)
                assert note.at != _EXCHANGE or note.op == "L", "not understood"
                if note.op == "L":
                    self._change(("", target, self.names[source]))
                else:
                    self._change((source, target, None))

    def _name(self, path: bytes) -> str:
        return os.path.relpath(path.decode(), self.root)

    def _opened(self, note: Note) -> None:
        name = self._name(note.data)
        if name == "." or (name in self.names and self.names[name] is None):
            self._open[note.fd] = None
            return
        if name not in self.names:
            self._change(("", name, File()))
        file = self.names[name]
        assert file is not None
        if note.at & os.O_TRUNC and file.now:
            file.change(0, None)
        self._open[note.fd] = file

    def _change(self, change: Renaming) -> None:
        _rename(self.names, change)
        self._changes.append(change)

    def _synced(self, file: File | None, covered: int) -> None:
        if file is not None:
            file.sync(covered)
            return
        for change in self._changes[:covered]:
            _rename(self._safe_names, change)
        left = self._changes[covered:]
        self._changes = left
        # others that have begun count from the front
        self._begun = {
            fd: (other, place if other is not None else max(0, place - covered))
            for fd, (other, place) in self._begun.items()
        }

    def contents(self) -> dict[str, bytes]:
        """Every file as programs see it."""
        return {name: bytes(file.now) for name, file in self.names.items() if file is not None}

    def durable(self, name: str) -> bytes:
        """What is left of one file at the very least, under the name it has now."""
        file = self.names[name]
        assert file is not None
        return bytes(file.safe)

    def lose_power(self, dice: random.Random) -> None:
        """Leave below `root` what the power loss leaves."""
        names = dict(self._safe_names)
        for change in self._changes[: dice.randint(0, len(self._changes))]:
            _rename(names, change)
        shutil.rmtree(self.root)
        self.root.mkdir()
        for name, file in sorted(names.items()):
            path = self.root / name
            if file is None:
                path.mkdir(parents=True, exist_ok=True)
            elif not name.endswith(_TRANSIENT):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.after_power_loss(dice))


def _rename(names: Names, change: Renaming) -> None:
    old, new, file = change
    if not old:
        assert new is not None
        names[new] = file
    elif new is None:
        names.pop(old)
    else:
        inside = [name for name in names if name == old or name.startswith(old + "/")]
        for name in inside:
            names[new + name.removeprefix(old)] = names.pop(name)
