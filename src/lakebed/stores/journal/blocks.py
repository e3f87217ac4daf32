"""Encodes a batch as one block of bytes, and decodes it.

    header    "LBK", the version, CRC-32 of the version and of all behind it, n, number of channels,
              sizes of the two sections
    section 1 channels: owners, topics, and for each message the index of its channel
    section 2 messages: lengths, payloads, receive times, then the sparse columns, each behind its
              name

Both sections are Zstandard frames; the first suffices to count by channel. The columns
are those of `packing.py`.

The CRC is checked before unpacking, so damaged bytes raise `Damaged` and do nothing else. A block
that is intact, but of a version or with a column that this program does not know, raises
`UnknownFormat`, which names it: it is no damage, and must not be skipped. So does one of which all
but the magic and the version is intact. The first twelve bytes, up to n, are the same in all
versions.
"""

import re
import struct
import threading
import zlib
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

import numpy as np
import zstandard

from lakebed.stores.journal import blocks_v1, packing
from lakebed.stores.journal.packing import Damaged as Damaged
from lakebed.stores.journal.packing import Section
from lakebed.vocabulary.errors import UnknownFormat
from lakebed.vocabulary.messages import Batch, Channel, Codes, Ints
from lakebed.vocabulary.sparse import (
    COLUMNS,
    NOTHING,
    Column,
    Moments,
    Numbers,
    Shared,
    Sparse,
    Values,
)

MAGIC = b"LBK"
VERSION = ord("2")
_NEWER = re.compile(rb"LB[A-Z](?<!LBK)[0-9A-Za-z]|LBK[3-9A-Za-z]")
"""How a block of a newer version may begin."""
_HEADER = struct.Struct("<3sBIIIIII")
_START = struct.Struct("<3sBII")
_CHECKED = 8  # the CRC covers all bytes from here on
_LEVEL = 1
_LARGEST = 2**31 - 1  # bytes of a section, unpacked
_MOST = 2**24  # messages


class _Zstandard(threading.local):
    """Contexts of this thread: they are costly to make, and not thread-safe."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.unpack = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()
_channel: Callable[[type[Channel], tuple[str, str]], Channel] = tuple.__new__  # without a frame


def encode(batch: Batch) -> bytes:
    """Encode a batch, without the columns that are not stored."""
    if len(batch.channel) != len(batch) or len(batch.received) != len(batch):
        raise ValueError("the columns of a batch have different lengths")
    owners, topics = zip(*batch.channels, strict=True) if batch.channels else ((), ())
    codes = packing.ints(batch.channel.astype(np.int64))
    channels = b"".join([*packing.texts(owners), *packing.texts(topics), *codes])
    messages = b"".join(
        [
            *packing.ints(packing.lengths(batch.payloads)),
            *batch.payloads,
            *packing.ints(batch.received),
            *_sparse(batch.sparse, batch.received),
        ]
    )
    if max(len(channels), len(messages)) > _LARGEST or len(batch) > _MOST:
        raise ValueError("a batch must be below 2 GiB and 16 million messages")
    first, second = _zstandard.pack(channels), _zstandard.pack(messages)
    sizes = (len(batch), len(batch.channels), len(channels), len(first), len(messages))
    body = _HEADER.pack(MAGIC, VERSION, 0, *sizes)[_CHECKED:] + first + second
    return MAGIC + bytes((VERSION,)) + checksum(VERSION, body).to_bytes(4, "little") + body


def decode(block: bytes) -> Batch:
    """Decode a block.

    Raises:
        Damaged: it is no block, or damaged.
        UnknownFormat: a newer version wrote it.
    """
    n, channels, codes, section = _open(block)
    payloads = section.payloads(n)
    received = section.ints(n)
    if isinstance(section, blocks_v1.SectionV1):
        sparse = section.sparse(received)
    else:
        sparse = _read_sparse(section, received)
    return Batch(channels, codes, payloads, received, sparse)


def count(block: bytes) -> int:
    """Count the messages of an intact block of any version.

    Raises:
        Damaged: it is no block, or damaged.
    """
    return _check(block)[1]


def count_channels(block: bytes, skip: int = 0) -> dict[Channel, int]:
    """Count a block's messages by channel, without the first `skip`.

    Raises:
        Damaged: it is no block, or damaged.
        UnknownFormat: a newer version wrote it.
    """
    _, channels, codes, _ = _open(block, messages=False)
    counts = np.bincount(codes[skip:], minlength=len(channels)).tolist()
    return {channel: count for channel, count in zip(channels, counts, strict=True) if count}


def checksum(version: int, body: bytes | memoryview) -> int:
    """Compute the CRC-32 of a block; version 1 leaves the version out."""
    return zlib.crc32(body, 0 if version == blocks_v1.VERSION else zlib.crc32(bytes((version,))))


def _check(block: bytes) -> tuple[int, int]:
    """Check the checksum; return the version and n."""
    if len(block) < _START.size:
        raise Damaged("too short")
    magic, version, crc, n = _START.unpack_from(block)
    body = memoryview(block)[_CHECKED:]
    if magic == MAGIC and checksum(version, body) == crc:
        return version, n
    if _NEWER.match(block) and any(checksum(known, body) == crc for known in (version, VERSION)):
        raise _newer(f"that begins with {bytes(block[:4])!r}")
    raise Damaged("the checksum is wrong")


def _newer(what: str) -> UnknownFormat:
    return UnknownFormat(
        f"the journal has a block {what}: this block was written by a newer version; upgrade "
        f"keepers first (this one reads versions up to {chr(VERSION)!r}, and passes nothing over)"
    )


def _open(block: bytes, messages: bool = True) -> tuple[int, tuple[Channel, ...], Codes, Section]:
    version, n = _check(block)
    if version == VERSION:
        kind = Section
    elif version == blocks_v1.VERSION:
        kind = blocks_v1.SectionV1
    else:
        raise _newer(f"of version {chr(version)!r}")
    if len(block) < _HEADER.size:
        raise Damaged("too short")
    _, _, _, _, known, raw_first, packed_first, raw_second = _HEADER.unpack_from(block)
    if max(n, known) > _MOST:  # the bytes of equal values do not limit their number
        raise Damaged("more messages than a block may hold")
    edge = _HEADER.size + packed_first
    first = kind(_unzip(block[_HEADER.size : edge], raw_first))
    owners, topics = first.texts(known), first.texts(known)
    codes = first.ints(n)
    if n and not 0 <= int(codes.min()) <= int(codes.max()) < known:
        raise Damaged("a channel is missing")
    channels = tuple(map(_channel, repeat(Channel), zip(owners, topics, strict=True)))
    rest = kind(_unzip(block[edge:], raw_second)) if messages else first
    return n, channels, codes.astype(np.int32), rest


def _unzip(packed: bytes, size: int) -> bytes:
    try:
        if size > _LARGEST or zstandard.frame_content_size(packed) != size:
            raise Damaged("a size is wrong")
        return _zstandard.unpack(packed)
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from None


# --- sparse columns -------------------------------------------------------------------------------


def _sparse(sparse: Sparse, received: Ints) -> Iterable[bytes]:
    """Encode the number of sparse columns, and each behind its name."""
    stored = {name: values for name, values in sparse.given().items() if COLUMNS[name].stored}
    yield bytes((len(stored),))
    for name, values in stored.items():
        yield bytes((len(name),)) + name.encode()
        yield from _write(COLUMNS[name], values, received)


def _read_sparse(section: Section, received: Ints) -> Sparse:
    found: dict[str, Any] = {}
    for _ in range(section.byte()):
        name = section.take(section.byte()).decode("utf-8", "replace")
        column = COLUMNS.get(name)
        if column is None or not column.stored:
            raise _newer(f"with a column {name!r}")
        found[name] = _read(column, section, received)
    return Sparse(**found) if found else NOTHING


def _write(column: Column, values: Any, received: Ints) -> Iterable[bytes]:
    """Encode a column by its kind."""
    if isinstance(column, Moments):
        return packing.moments(values, received)
    if isinstance(column, Shared):
        return packing.attributes(values)
    if isinstance(column, Numbers):
        return packing.ints(values)
    assert isinstance(column, Values)
    return packing.texts(values)


def _read(column: Column, section: Section, received: Ints) -> Any:
    if isinstance(column, Moments):
        return section.moments(received)
    if isinstance(column, Shared):
        return section.attributes(len(received))
    if isinstance(column, Numbers):
        return section.ints(len(received))
    return section.texts(len(received))
