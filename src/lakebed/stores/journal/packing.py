"""Encodes columns of integers and texts as bytes, and reads them from front to back.

An integer column has the differences from its smallest value, or those of its steps where these are
narrower, in as few bytes as they need: first all low bytes, then the next.

    head         one bit: steps; three bits: bytes of a difference (0, 1, 2, 4, 8); four bits:
                 bytes of the smallest value
    smallest     as many bytes; with steps, the first value behind it in eight bytes
    differences  none if all values are equal

Every count is checked against the bytes present before allocating.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.attributes import Attributes, Coded, Pairs
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import UNSET, Micros

_ENCODING = ("utf-8", "surrogatepass")  # ids may have lone surrogates
_WRAP = 2**64 - 1
_WIDTHS = (0, 1, 2, 4, 8)
_STEPS = 0x80
_NONE, _SOME, _ALL = b"\0", b"\1", b"\2"  # of the messages have an optional value


class Damaged(ValueError):
    """The bytes are no block, or were changed since they were written."""


# --- writing --------------------------------------------------------------------------------------


def ints(values: Ints) -> Iterable[bytes]:
    if not len(values):
        return ()
    if len(values) == 1:
        return (_base(0, int(values[0])),)
    smallest = int(values.min())
    code = _width_code(int(values.max()) - smallest)
    if not code:
        return (_base(0, smallest),)
    head, first = code << 4, b""
    if code > 1:
        steps = np.diff(values)  # may wrap around, as adding them up will
        low = int(steps.min())
        narrow = _width_code(int(steps.max()) - low)
        if narrow < code:
            first = int(values[0]).to_bytes(8, "little", signed=True)
            values, smallest, code, head = steps, low, narrow, _STEPS | narrow << 4
    base = _base(head, smallest)
    if not code:
        return base, first
    width = _WIDTHS[code]
    above = (values.view(np.uint64) - np.uint64(smallest & _WRAP)).astype(f"<u{width}")
    planes = above.view(np.uint8).reshape(-1, width).T if width > 1 else above
    return base, first, planes.tobytes()


def _base(head: int, smallest: int) -> bytes:
    """Encode the head and the smallest value, in as few bytes as it needs."""
    size = (smallest if smallest >= 0 else ~smallest).bit_length() // 8 + 1 if smallest else 0
    return (head | size).to_bytes(1, "little") + smallest.to_bytes(size, "little", signed=True)


def _width_code(span: int) -> int:
    """Return the index in `_WIDTHS` of the bytes that 0 … span needs."""
    return 0 if not span else 1 if span < 2**8 else 2 if span < 2**16 else 3 if span < 2**32 else 4


def lengths(values: Sequence[bytes] | Sequence[str]) -> Ints:
    """int64[n]."""
    try:
        return np.frombuffer(bytes(map(len, values)), np.uint8).astype(np.int64)
    except ValueError:  # one is longer than 255
        return np.fromiter(map(len, values), np.int64, len(values))


def texts(values: Sequence[str]) -> Iterable[bytes]:
    n = len(values)
    if n and values.count(values[0]) == n:  # as owners mostly are
        return _base(0, len(values[0])), *binary(values[0].encode(*_ENCODING) * n)
    return *ints(lengths(values)), *binary("".join(values).encode(*_ENCODING))


def binary(value: bytes) -> Iterable[bytes]:
    return len(value).to_bytes(4, "little"), value


def moments(values: Ints | Sequence[Micros], received: Ints) -> Iterable[bytes]:
    """Encode which messages have one, and its difference from the receive time."""
    values = np.asarray(values, np.int64)
    given = values != UNSET
    if given.all():
        return _ALL, *ints(values - received)
    if not given.any():
        return (_NONE,)
    return _SOME, np.packbits(given).tobytes(), *ints(values[given] - received[given])


class _Packed(msgspec.Struct, omit_defaults=True):
    """Attributes under short names; a reader ignores those that it does not know."""

    t: str = ""
    p: str = ""
    d: Pairs = ()
    u: Pairs = ()


_table = msgspec.msgpack.Decoder(list[msgspec.Raw])
_one = msgspec.msgpack.Decoder(_Packed)
_values: dict[bytes, Attributes] = {}
"""Attributes by their encoding: those of a fleet come again in every block."""

_encodings: dict[Attributes, bytes] = {}

_MOST_VALUES = 20_000
_LONGEST_VALUE = 256  # bytes; longer ones have user properties, which differ


def attributes(values: Coded[Attributes]) -> Iterable[bytes]:
    """Encode each distinct value once, and its code for each message."""
    used = values.compact()
    count = len(used.table)
    head = b"\xdd" + count.to_bytes(4, "big")  # an array of msgpack, with the longest head
    packed = b"".join((head, *map(_encoded, used.table)))
    return *binary(packed), *ints(used.codes.astype(np.int64))


def _encoded(value: Attributes) -> bytes:
    packed = _encodings.get(value)
    if packed is None:
        packed = msgspec.msgpack.encode(_Packed(*value))
        if len(packed) <= _LONGEST_VALUE:
            if len(_encodings) >= _MOST_VALUES:
                _encodings.clear()
            _encodings[value] = packed
    return packed


def _attributes(packed: msgspec.Raw) -> Attributes:
    key = bytes(packed)
    value = _values.get(key)
    if value is None:
        one = _one.decode(key)
        value = Attributes(one.t, one.p, one.d, one.u)
        if len(key) <= _LONGEST_VALUE:
            if len(_values) >= _MOST_VALUES:
                _values.clear()
            _values[key] = value
    return value


# --- reading --------------------------------------------------------------------------------------


class Section:
    """Reads bytes from front to back; every method raises `Damaged` if they do not fit."""

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

    def byte(self) -> int:
        return self.take(1)[0]

    def ints(self, n: int) -> Ints:
        if not n:
            return np.zeros(0, np.int64)
        head = self.take(1)[0]
        code, size = head >> 4 & 7, head & 15
        if code >= len(_WIDTHS) or size > 8:
            raise Damaged("a column has an unknown form")
        smallest = int.from_bytes(self.take(size), "little", signed=True)
        if head & _STEPS:
            first = int.from_bytes(self.take(8), "little", signed=True)
            return self.steps(n, _WIDTHS[code], first, smallest)
        return self.differences(n, _WIDTHS[code], smallest).view(np.int64)

    def steps(self, n: int, width: int, first: int, smallest: int) -> Ints:
        """Read n values whose steps are stored."""
        values = np.empty(n, np.uint64)
        values[0] = first & _WRAP
        values[1:] = self.differences(n - 1, width, smallest)
        return np.cumsum(values, dtype=np.uint64).view(np.int64)

    def differences(self, n: int, width: int, smallest: int) -> NDArray[np.uint64]:
        base = np.uint64(smallest & _WRAP)
        if not width:
            return np.zeros(n, np.uint64) + base
        planes = np.frombuffer(self.take(n * width), np.uint8).reshape(width, n)
        above = np.ascontiguousarray(planes.T).view(f"<u{width}").ravel().astype(np.uint64)
        return above + base

    def texts(self, n: int) -> list[str]:
        ends = np.cumsum(self.ints(n)).tolist()
        try:
            text = self.binary().decode(*_ENCODING)
        except UnicodeDecodeError as error:
            raise Damaged(str(error)) from None
        if ends and (ends[-1] != len(text) or min(ends) < 0):
            raise Damaged("lengths do not fit")
        return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def binary(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "little"))

    def payloads(self, n: int) -> list[bytes]:
        """Read n payloads, stored behind their lengths."""
        sizes = self.ints(n)
        ends = np.cumsum(sizes)
        total = int(ends[-1]) if n else 0
        if n and (int(sizes.min()) < 0 or total > self.left):
            raise Damaged("lengths do not fit")
        joined = self.take(total)
        marks = ends.tolist()
        return [joined[a:b] for a, b in zip([0, *marks], marks, strict=False)]

    def attributes(self, n: int) -> Coded[Attributes]:
        try:
            table = tuple(map(_attributes, _table.decode(self.binary())))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise Damaged(str(error)) from None
        codes = self.ints(n)
        if n and not 0 <= int(codes.min()) <= int(codes.max()) < len(table):
            raise Damaged("an attribute is missing")
        return Coded(codes.astype(np.int32), table)

    def moments(self, received: Ints) -> Ints:
        form = self.take(1)
        if form == _ALL:
            return self.ints(len(received)) + received
        if form == _SOME:
            return self.some_moments(received)
        return np.full(len(received), UNSET, np.int64)

    def some_moments(self, received: Ints) -> Ints:
        """Read the values of the messages in a mask; the others are `UNSET`."""
        n = len(received)
        values = np.full(n, UNSET, np.int64)
        mask = np.frombuffer(self.take((n + 7) // 8), np.uint8)
        given = np.unpackbits(mask, count=n).astype(np.bool_)
        values[given] = self.ints(int(given.sum())) + received[given]
        return values
