"""Checks that the parts which the embedded engine has written are complete on the disk.

chDB (26.1 to 26.9 were tried) ignores failed writes: on a disk that is full or fails, an insert
succeeds, and a merge replaces its sources, with parts whose files are empty. So the files of each
new part are compared with `checksums.txt`, which lists them and is written last. chDB does report a
failed fsync of a file, but not of a folder, so folders are synced here.
"""

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from lakebed.system.files import rename, sync

_PART = re.compile(r"(?!tmp|delete_tmp)[\w-]+?(_\d+){3,4}")
"""`PARTITION_FIRST_LAST_LEVEL[_MUTATION]`; temporary parts begin with `tmp` or `delete_tmp`."""
_LIST = "checksums.txt"
_HEAD = b"checksums format version: 4\n"
_ANY_HEAD = b"checksums format version: "
_CODECS = {0x82: pa.Codec("lz4_raw"), 0x90: pa.Codec("zstd")}
_BLOCK = struct.Struct("<16xBII")
"""Hash of the block, compression method, bytes packed with this header, bytes unpacked."""
_HASH = 16  # bytes


class _Unknown(Exception):
    """The format of `checksums.txt` is unknown, so only empty files can be detected."""


class PartFiles:
    """Checks the parts of one table, each once.

    Args:
        folder: the table's folder. The engine has checked existing parts when it opened them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen = self._there()
        self._synced = True

    def broken(self) -> list[str]:
        """The names of parts written since the last call that are incomplete."""
        there = self._there()
        new = there - self._seen
        self._seen = there
        self._synced = self._synced and not new
        return sorted(name for name in new if not _is_whole(self.folder / name))

    def forget(self, names: Iterable[str]) -> None:
        """Forget parts that were detached: the engine may give their names to new ones."""
        self._seen -= set(names)

    def detach(self, name: str, prefix: str) -> None:
        """Move a part of a closed table to where the engine does not read it; durably.

        One that is not there any more, because it was merged, is no error.
        """
        aside = self.folder / "detached" / f"{prefix}{name}"
        if (self.folder / name).exists() and not aside.exists():
            rename(self.folder / name, aside)
            sync(self.folder)

    def sync_names(self) -> None:
        """Make the names of parts written since the last call durable.

        Raises:
            OSError: they may not be durable.
        """
        if not self._synced:
            sync(self.folder)
            self._synced = True

    def _there(self) -> set[str]:
        return {name for name in os.listdir(self.folder) if _PART.fullmatch(name)}


def _is_whole(part: Path) -> bool:
    try:
        there = {file.name: file.stat().st_size for file in part.iterdir()}
        listed = _sizes((part / _LIST).read_bytes())
    except FileNotFoundError:
        return not part.exists()  # merged away meanwhile
    except ValueError:
        return False
    except _Unknown:
        return all(there.values())
    # Files that are not listed describe the part's columns, and are never empty.
    return all(there.get(name) == size for name, size in listed.items()) and all(
        size for name, size in there.items() if name not in listed
    )


def _sizes(file: bytes) -> dict[str, int]:
    """Parse `checksums.txt` into sizes in bytes by file name.

    Raises:
        ValueError: the file is empty or cut off.
        _Unknown: another version of the engine wrote it, in a format that is not known here.
    """
    if not file.startswith(_HEAD):
        if file.startswith(_ANY_HEAD) and not _HEAD.startswith(file):
            raise _Unknown
        raise ValueError("cut off")
    try:
        return _read(_unpack(file[len(_HEAD) :]))
    except KeyError:  # of the codec
        raise _Unknown from None
    except (struct.error, IndexError, pa.ArrowException, OSError) as error:
        raise ValueError(f"cut off: {error}") from error


def _unpack(blocks: bytes) -> bytes:
    unpacked, at = b"", 0
    while at < len(blocks):
        method, size, raw = _BLOCK.unpack_from(blocks, at)
        body = blocks[at + _BLOCK.size : at + _HASH + size]
        unpacked += _CODECS[method].decompress(body, raw, asbytes=True)
        at += _HASH + size
    return unpacked


def _read(listed: bytes) -> dict[str, int]:
    sizes = {}
    count, at = _varint(listed, 0)
    for _ in range(count):
        length, at = _varint(listed, at)
        name, at = listed[at : at + length].decode(), at + length
        sizes[name], at = _varint(listed, at)
        at += _HASH
        compressed, at = listed[at], at + 1
        if compressed:  # size and hash of the uncompressed content follow
            _, at = _varint(listed, at)
            at += _HASH
    return sizes


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A LEB128 number and the index behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
