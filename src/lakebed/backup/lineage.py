"""Which history a home has: offsets of two homes that were one once mean different messages.

A home gets a random name when it is made, and another one when it is restored; from then on its
offsets are its own. A backup fits a home whose history it is a piece of: of the same name, or of a
former one and taken before the ways parted.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lakebed.backup.manifest import Manifest
from lakebed.system.files import write_file


class Lineage(msgspec.Struct):
    """Attributes:
    name: of the history from here on.
    former: of those it came from, with the offsets up to which each is ours.
    """

    name: str
    former: dict[str, dict[int, int]] = {}

    def holds(self, manifest: Manifest) -> bool:
        """Whether the backup is of this history."""
        if manifest.lineage == self.name:
            return True
        parted = self.former.get(manifest.lineage)
        return parted is not None and _within(manifest.position, parted)

    def knows(self, name: str) -> bool:
        """Whether a history of that name is ours or was, up to some moment."""
        return name == self.name or name in self.former

    def fork(self, manifest: Manifest) -> "Lineage":
        """What a home that is restored from a backup of this history becomes."""
        return Lineage(_name(), {**self.former, manifest.lineage: dict(manifest.position)})


def _within(position: Mapping[int, int], parted: Mapping[int, int]) -> bool:
    return all(offset <= parted.get(partition, 0) for partition, offset in position.items())


def of_home(home: Path) -> Lineage:
    """The lineage of a home, made at its first start."""
    path = _file(home)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Lineage)
    except (FileNotFoundError, msgspec.MsgspecError):
        made = Lineage(_name())
        save(home, made)
        return made


def save(home: Path, lineage: Lineage) -> None:
    write_file(_file(home), msgspec.json.encode(lineage))


def _file(home: Path) -> Path:
    return home / "lineage.json"


def _name() -> str:
    return secrets.token_hex(8)
