"""Sparse columns, in which only some messages have a value, as one object in all signatures.

    source ──Sparse──> SparseBuilder ──Sparse──> Batch ──> journal ──> consumers
        of one read       of many reads          of n messages

To add a column, add a field to `Sparse` and a line to `COLUMNS`. A new kind of column also needs a
class here, and its encoding in `stores/journal/blocks.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes, Coded
from lakebed.vocabulary.times import UNSET, Micros

Ints: TypeAlias = NDArray[np.int64]
T = TypeVar("T")


class Column(Protocol):
    """Operations on one kind of column; it has n values, parallel to the messages.

    Attributes:
        stored: whether the journal's blocks contain it.
    """

    @property
    def stored(self) -> bool: ...

    def take(self, values: Any, index: NDArray[np.intp]) -> Any:
        """The values at `index`, in that order."""
        ...

    def spread(self, n: int, pieces: Sequence[tuple[int, Any]]) -> Any:
        """n values: those of each piece from its start on, and defaults elsewhere."""
        ...

    def sizes(self, values: Any) -> Ints:
        """int64[n], about how many bytes each value takes."""
        ...


@dataclass(frozen=True, slots=True)
class Values(Generic[T]):
    """Texts or bytes; `default` if a message has none."""

    default: T
    stored: bool = True

    def take(self, values: Sequence[T], index: NDArray[np.intp]) -> list[T]:
        return [values[i] for i in index.tolist()]

    def spread(self, n: int, pieces: Sequence[tuple[int, Sequence[T]]]) -> list[T]:
        column = [self.default] * n
        for start, values in pieces:
            column[start : start + len(values)] = values
        return column

    def sizes(self, values: Sequence[Any]) -> Ints:
        return 2 * np.fromiter(map(len, values), np.int64, len(values))


@dataclass(frozen=True, slots=True)
class Moments:
    """Microseconds UTC; `UNSET` if a message has none."""

    stored: bool = True

    def take(self, values: Ints, index: NDArray[np.intp]) -> Ints:
        return values[index]

    def spread(self, n: int, pieces: Sequence[tuple[int, Any]]) -> Ints:
        if any(isinstance(values, np.ndarray) for _, values in pieces):
            column: Ints = np.full(n, UNSET, np.int64)
            for start, values in pieces:
                column[start : start + len(values)] = values
            return column
        # for a short list numpy would take longer than everything else
        return np.array(Values(UNSET).spread(n, pieces), np.int64)

    def sizes(self, values: Ints) -> Ints:
        return np.full(len(values), 8, np.int64)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Whole numbers from 0 on; -1 if a message has none."""

    stored: bool = True

    def take(self, values: Ints, index: NDArray[np.intp]) -> Ints:
        return values[index]

    def spread(self, n: int, pieces: Sequence[tuple[int, Ints]]) -> Ints:
        column: Ints = np.full(n, -1, np.int64)
        for start, values in pieces:
            column[start : start + len(values)] = values
        return column

    def sizes(self, values: Ints) -> Ints:
        return np.full(len(values), 8, np.int64)


@dataclass(frozen=True, slots=True)
class Shared:
    """Attributes; `NO_ATTRIBUTES` if a message has none.

    Those of one read may be a list, so that the values of a batch are numbered once.
    """

    stored: bool = True

    def take(self, values: Coded[Attributes], index: NDArray[np.intp]) -> Coded[Attributes]:
        return values.take(index)

    def spread(self, n: int, pieces: Sequence[tuple[int, Any]]) -> Coded[Attributes]:
        if all(isinstance(values, list) for _, values in pieces):
            return Coded.of(Values(NO_ATTRIBUTES).spread(n, pieces))
        numbers = {NO_ATTRIBUTES: 0}
        codes = np.zeros(n, np.int32)
        for start, given in pieces:
            values = Coded.of(given) if isinstance(given, list) else given
            found = [numbers.setdefault(value, len(numbers)) for value in values.table]
            codes[start : start + len(values)] = np.array(found, np.int32)[values.codes]
        return Coded(codes, tuple(numbers))

    def sizes(self, values: Coded[Attributes]) -> Ints:
        """As if no attributes were shared, so that a Kafka record is never larger than expected."""
        return np.array([_size(value) for value in values.table], np.int64)[values.codes]


def _size(value: Attributes) -> int:
    pairs = (*value.decisions, *value.properties)
    texts = (value.content_type, value.principal, *(text for pair in pairs for text in pair))
    return 16 + sum(4 * len(text) + 5 for text in texts)


class Sparse(NamedTuple):
    """The sparse columns of n messages; a column is None if no message has a value in it.

    Attributes:
        event: int64[n], the event time that the sender gave, or `UNSET`.
        ids: n idempotency ids that the senders gave, or "".
        keys: n keys, or b"": messages with equal keys are stored once. A batch that is read back
            has keys only if consumers of its journal find duplicates.
        only: n names of the only policy that a message is meant for, or "" for all policies of its
            topic.
        attributes: n attributes, or `NO_ATTRIBUTES`; those of a read, which only
            `SparseBuilder` reads, may be a list.
        duplicate: int64[n], the bytes of the payload of a message that a journal with one writer
            had already, or -1. It is appended without payload and id, to be counted.
    """

    event: Ints | Sequence[Micros] | None = None
    ids: Sequence[str] | None = None
    keys: Sequence[bytes] | None = None
    only: Sequence[str] | None = None
    attributes: Coded[Attributes] | None = None
    duplicate: Ints | None = None

    @property
    def counts(self) -> NDArray[np.bool_] | None:
        """bool[n], which messages are not noted as duplicates; None if none is."""
        return None if self.duplicate is None else self.duplicate < 0

    def given(self) -> dict[str, Any]:
        """The columns that are not None, by name."""
        columns = zip(COLUMNS, self, strict=True)
        return {name: values for name, values in columns if values is not None}

    def take(self, index: NDArray[np.intp]) -> "Sparse":
        """The values at `index`, in that order."""
        if self is NOTHING:
            return self
        columns = zip(COLUMNS.values(), self, strict=True)
        return Sparse(*(None if v is None else column.take(v, index) for column, v in columns))

    def cut(self, start: int, stop: int) -> "Sparse":
        """The values from `start` on and below `stop`."""
        if self is NOTHING:
            return self
        columns: list[Any] = [None if values is None else values[start:stop] for values in self]
        return Sparse(*columns)

    def sizes(self, n: int) -> Ints:
        """int64[n], about the bytes that the values of each message take."""
        found = (COLUMNS[name].sizes(values) for name, values in self.given().items())
        return sum(found, np.zeros(n, np.int64))


COLUMNS: Final[Mapping[str, Column]] = {
    "event": Moments(),
    "ids": Values(""),
    "keys": Values(b"", stored=False),
    "only": Values(""),
    "attributes": Shared(),
    "duplicate": Numbers(),
}
"""The kind of each column, in the order of `Sparse`."""

NOTHING: Final = Sparse()
"""No message has a value in any column."""

assert tuple(COLUMNS) == Sparse._fields


class SparseBuilder:
    """Joins the sparse columns of several reads into those of a batch."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Sparse]] = []

    def add(self, start: int, sparse: Sparse) -> None:
        """Add columns of the messages from number `start` on."""
        if sparse is not NOTHING:
            self._pieces.append((start, sparse))

    def build(self, n: int) -> Sparse:
        """The columns of all n messages."""
        if not self._pieces:
            return NOTHING
        starts, sparse = zip(*self._pieces, strict=True)
        found = []
        for column, values in zip(COLUMNS.values(), zip(*sparse, strict=True), strict=True):
            pieces = [pair for pair in zip(starts, values, strict=True) if pair[1] is not None]
            found.append(column.spread(n, pieces) if pieces else None)
        return Sparse(*found)
