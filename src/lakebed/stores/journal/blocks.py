"""Encodes a batch as one block of bytes, and decodes it.

    header    magic, CRC-32 of all behind it, n, number of channels, sizes of the two sections
    section 1 channels: owners, topics, and for each message the index of its channel
    section 2 messages: lengths, payloads, receive times, event times, ids, and, if any message is
              for one policy alone, that policy for each

Both sections are Zstandard frames; the first can be read alone, to count by channel. An integer
column has the differences from its smallest value, or those of its steps where these are narrower,
in as few bytes as they need: first all low bytes, then the next. Equal values cost nothing.

The CRC is checked before unpacking, and every count is checked against the bytes present before
allocating. So damaged bytes raise `Damaged` and do nothing else.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

import numpy as np
import zstandard
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Batch, Channel, Codes, Ints
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import UNSET, Micros

MAGIC = b"LBK1"
_HEADER = struct.Struct("<4sIIIIII")
_CHECKED = 8  # the CRC covers all bytes from here on
_COLUMN = struct.Struct("<BBqq")  # steps or values, width, first value, smallest
_LEVEL = 1
_LARGEST = 2**31 - 1  # bytes of a section, unpacked
_MOST = 2**24  # messages
_WRAP = 2**64 - 1
_ENCODING = ("utf-8", "surrogatepass")  # ids may have lone surrogates


class Damaged(ValueError):
    """The bytes are not a block, or were changed since they were written."""


class _Zstandard(threading.local):
    """Contexts of this thread: they are costly to make, and not thread-safe."""

    def __init__(self) -> None:
        self.pack = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.unpack = zstandard.ZstdDecompressor().decompress


_zstandard = _Zstandard()
_channel: Callable[[type[Channel], tuple[str, str]], Channel] = tuple.__new__  # without a frame


def encode(batch: Batch) -> bytes:
    """Encode a batch, without its `keys`."""
    if len(batch.channel) != len(batch) or len(batch.received) != len(batch):
        raise ValueError("the columns of a batch have different lengths")
    owners, topics = zip(*batch.channels, strict=True) if batch.channels else ((), ())
    channels = b"".join([*_texts(owners), *_texts(topics), *_ints(batch.channel.astype(np.int64))])
    messages = b"".join(
        [
            *_ints(_lengths(batch.payloads)),
            *batch.payloads,
            *_ints(batch.received),
            *_optional_times(batch.sparse.event, batch.received),
            *_optional_texts(batch.sparse.ids),
            *(() if batch.sparse.only is None else _optional_texts(batch.sparse.only)),
        ]
    )
    if max(len(channels), len(messages)) > _LARGEST or len(batch) > _MOST:
        raise ValueError("a batch must be below 2 GiB and 16 million messages")
    first, second = _zstandard.pack(channels), _zstandard.pack(messages)
    sizes = (len(batch), len(batch.channels), len(channels), len(first), len(messages))
    body = _HEADER.pack(MAGIC, 0, *sizes)[_CHECKED:] + first + second
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(block: bytes) -> Batch:
    """Decode a block.

    Raises:
        Damaged: it is no block, or damaged.
    """
    n, channels, codes, section = _open(block)
    lengths = section.ints(n)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if n else 0
    if n and (int(lengths.min()) < 0 or total > section.left):
        raise Damaged("lengths do not fit")
    joined = section.take(total)
    marks = ends.tolist()
    payloads = [joined[a:b] for a, b in zip([0, *marks], marks, strict=False)]
    received = section.ints(n)
    event = section.optional_times(received)
    ids = section.optional_texts(n)
    only = section.optional_texts(n) if section.left else None
    sparse = Sparse(event, ids, only=only)
    return Batch(channels, codes, payloads, received, sparse)


def count_channels(block: bytes, skip: int = 0) -> dict[Channel, int]:
    """Count a block's messages by channel, without the first `skip`.

    Raises:
        Damaged: it is no block, or damaged.
    """
    _, channels, codes, _ = _open(block, messages=False)
    counts = np.bincount(codes[skip:], minlength=len(channels)).tolist()
    return {channel: count for channel, count in zip(channels, counts, strict=True) if count}


def _open(
    block: bytes, messages: bool = True
) -> tuple[int, tuple[Channel, ...], Codes, "_Section"]:
    if len(block) < _HEADER.size:
        raise Damaged("too short")
    magic, crc, n, known, raw_first, packed_first, raw_second = _HEADER.unpack_from(block)
    if magic != MAGIC or zlib.crc32(memoryview(block)[_CHECKED:]) != crc:
        raise Damaged("the checksum is wrong")
    if max(n, known) > _MOST:  # the bytes of equal values do not limit their number
        raise Damaged("more messages than a block may hold")
    edge = _HEADER.size + packed_first
    first = _unzip(block[_HEADER.size : edge], raw_first)
    owners, topics = first.texts(known), first.texts(known)
    codes = first.ints(n)
    if n and not 0 <= int(codes.min()) <= int(codes.max()) < known:
        raise Damaged("a channel is missing")
    channels = tuple(map(_channel, repeat(Channel), zip(owners, topics, strict=True)))
    rest = _unzip(block[edge:], raw_second) if messages else first
    return n, channels, codes.astype(np.int32), rest


def _unzip(packed: bytes, size: int) -> "_Section":
    try:
        if size > _LARGEST or zstandard.frame_content_size(packed) != size:
            raise Damaged("a size is wrong")
        return _Section(_zstandard.unpack(packed))
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from None


# --- writing columns ------------------------------------------------------------------------------


def _lengths(values: Sequence[bytes] | Sequence[str]) -> Ints:
    try:
        return np.frombuffer(bytes(map(len, values)), np.uint8).astype(np.int64)
    except ValueError:  # one is longer than 255
        return np.fromiter(map(len, values), np.int64, len(values))


def _width(span: int) -> int:
    """Bytes that hold 0 … span."""
    return 0 if not span else 1 if span < 2**8 else 2 if span < 2**16 else 4 if span < 2**32 else 8


def _ints(values: Ints) -> Iterable[bytes]:
    if not len(values):
        return ()
    first, base = int(values[0]), int(values.min())
    width = _width(int(values.max()) - base)
    steps = False
    if width > 1:
        differences = np.diff(values)  # may wrap around, as adding them up will
        low = int(differences.min())
        narrow = _width(int(differences.max()) - low)
        if narrow < width:
            values, base, width, steps = differences, low, narrow, True
    head = _COLUMN.pack(steps, width, first, base)
    if not width:
        return (head,)
    above = (values.view(np.uint64) - np.uint64(base & _WRAP)).astype(f"<u{width}")
    planes = above.view(np.uint8).reshape(-1, width).T if width > 1 else above
    return head, planes.tobytes()


def _texts(values: Sequence[str]) -> Iterable[bytes]:
    n = len(values)
    if n and values.count(values[0]) == n:  # as owners mostly are
        text, lengths = values[0].encode(*_ENCODING) * n, np.full(n, len(values[0]), np.int64)
    else:
        text, lengths = "".join(values).encode(*_ENCODING), _lengths(values)
    return *_ints(lengths), len(text).to_bytes(4, "little"), text


def _optional_texts(values: Sequence[str] | None) -> Iterable[bytes]:
    return (b"\0",) if values is None else (b"\1", *_texts(values))


def _optional_times(event: Ints | Sequence[Micros] | None, received: Ints) -> Iterable[bytes]:
    """Encode which messages have an event time, and its difference from the receive time."""
    if event is None:
        return (b"\0",)
    event = np.asarray(event, np.int64)
    given = event != UNSET
    if not given.any():
        return (b"\0",)
    mask = np.packbits(given).tobytes()
    return b"\1", mask, *_ints(event[given] - received[given])


# --- reading columns ------------------------------------------------------------------------------


class _Section:
    """Reads unpacked bytes from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise Damaged("a column is too short")
        self._at += size
        return self._data[self._at - size : self._at]

    def ints(self, n: int) -> Ints:
        if not n:
            return np.zeros(0, np.int64)
        steps, width, first, base = _COLUMN.unpack(self.take(_COLUMN.size))
        if width not in (0, 1, 2, 4, 8) or steps > 1:
            raise Damaged("a column has an unknown form")
        count = n - steps
        above = self._unsigned(count, width) + np.uint64(base & _WRAP)
        if not steps:
            return above.view(np.int64)
        values = np.empty(n, np.uint64)
        values[0] = first & _WRAP
        values[1:] = above
        return np.cumsum(values, dtype=np.uint64).view(np.int64)

    def _unsigned(self, count: int, width: int) -> NDArray[np.uint64]:
        if not width:
            return np.zeros(count, np.uint64)
        planes = np.frombuffer(self.take(count * width), np.uint8).reshape(width, count)
        return np.ascontiguousarray(planes.T).view(f"<u{width}").ravel().astype(np.uint64)

    def texts(self, n: int) -> list[str]:
        ends = np.cumsum(self.ints(n)).tolist()
        size = int.from_bytes(self.take(4), "little")
        try:
            text = self.take(size).decode(*_ENCODING)
        except UnicodeDecodeError as error:
            raise Damaged(str(error)) from None
        if ends and (ends[-1] != len(text) or min(ends) < 0):
            raise Damaged("lengths do not fit")
        return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def optional_texts(self, n: int) -> list[str] | None:
        return self.texts(n) if self.take(1) == b"\1" else None

    def optional_times(self, received: Ints) -> Ints | None:
        if self.take(1) != b"\1":
            return None
        n = len(received)
        event = np.full(n, UNSET, np.int64)
        mask = np.frombuffer(self.take((n + 7) // 8), np.uint8)
        given = np.unpackbits(mask, count=n).astype(np.bool_)
        event[given] = self.ints(int(given.sum())) + received[given]
        return event
