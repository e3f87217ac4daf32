"""Identifies the history of a home, because equal offsets of two homes are different messages.

A home gets a random name when it is made, and another one when it is restored. From then on its
offsets have their own meaning. A backup belongs to a home's history if it has the same name, or a
former name and was taken before the restore.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lakebed.backup.manifest import Manifest
from lakebed.system.files import write_file


class Lineage(msgspec.Struct):
    """The history of one home.

    Attributes:
        name: of the current history.
        former: names of earlier histories, with the offsets up to which they are part of this one.
    """

    name: str
    former: dict[str, dict[int, int]] = {}

    def contains(self, manifest: Manifest) -> bool:
        """Whether the backup is part of this history."""
        if manifest.lineage == self.name:
            return True
        limit = self.former.get(manifest.lineage)
        return limit is not None and _within(manifest.position, limit)

    def fork(self, manifest: Manifest) -> "Lineage":
        """Return the lineage of a home that is restored from this backup."""
        return Lineage(_name(), {**self.former, manifest.lineage: dict(manifest.position)})


def _within(position: Mapping[int, int], limit: Mapping[int, int]) -> bool:
    return all(offset <= limit.get(partition, 0) for partition, offset in position.items())


def of_home(home: Path) -> Lineage:
    """Load the lineage of a home; create it at the first start."""
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
