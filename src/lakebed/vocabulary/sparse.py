"""Sparse columns: what only some messages have, as one object through all signatures.

    source ──Sparse──> SparseBuilder ──Sparse──> Batch ──> journal ──> consumers
        of one read       of many reads          of n messages

To add a column: a field of `Sparse` and its line in `COLUMNS`. A kind of column that there is none
of yet needs a class here, and its encoding in `stores/journal/blocks.py`.
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
    """The operations on one kind of column; `values` are n, parallel to the messages.

    Attributes:
        stored: whether the journal's block holds it.
    """

    @property
    def stored(self) -> bool: ...

    def take(self, values: Any, index: NDArray[np.intp]) -> Any:
        """The values at `index`, in that order."""
        ...

    def spread(self, n: int, pieces: Sequence[tuple[int, Any]]) -> Any:
        """n values: each piece from its start on, the default where there is none."""
        ...

    def sizes(self, values: Any) -> Ints:
        """int64[n], about how many bytes each value takes."""
        ...


@dataclass(frozen=True, slots=True)
class Values(Generic[T]):
    """Texts or bytes, `default` where a message has none."""

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
    """Microseconds UTC, `UNSET` where a message has none."""

    stored: bool = True

    def take(self, values: Ints, index: NDArray[np.intp]) -> Ints:
        return values[index]

    def spread(self, n: int, pieces: Sequence[tuple[int, Any]]) -> Ints:
        if any(isinstance(values, np.ndarray) for _, values in pieces):
            column: Ints = np.full(n, UNSET, np.int64)
            for start, values in pieces:
                column[start : start + len(values)] = values
            return column
        # numpy takes longer for a short list than all else does for its message
        return np.array(Values(UNSET).spread(n, pieces), np.int64)

    def sizes(self, values: Ints) -> Ints:
        return np.full(len(values), 8, np.int64)


@dataclass(frozen=True, slots=True)
class Shared:
    """Attributes, `NO_ATTRIBUTES` where a message has none."""

    stored: bool = True

    def take(self, values: Coded[Attributes], index: NDArray[np.intp]) -> Coded[Attributes]:
        return values.take(index)

    def spread(self, n: int, pieces: Sequence[tuple[int, Coded[Attributes]]]) -> Coded[Attributes]:
        numbers = {NO_ATTRIBUTES: 0}
        codes = np.zeros(n, np.int32)
        for start, values in pieces:
            found = [numbers.setdefault(value, len(numbers)) for value in values.table]
            codes[start : start + len(values)] = np.array(found, np.int32)[values.codes]
        return Coded(codes, tuple(numbers))

    def sizes(self, values: Coded[Attributes]) -> Ints:
        """As if each message had its own: a record of Kafka must never get larger than expected."""
        return np.array([_size(value) for value in values.table], np.int64)[values.codes]


def _size(value: Attributes) -> int:
    pairs = (*value.decisions, *value.properties)
    texts = (value.content_type, value.principal, *(text for pair in pairs for text in pair))
    return 16 + sum(4 * len(text) + 5 for text in texts)


class Sparse(NamedTuple):
    """A column each, or None where none of the messages has one.

    Attributes:
        event: int64[n], the event time that the sender gave, or `UNSET`.
        ids: n idempotency ids as the senders gave them, "" where none.
        keys: n keys under which a message is stored once, b"" where none. A batch read back has
            them only where its journal leaves looking for duplicates to its readers.
        only: n names of the one policy that a message is meant for, "" where for every policy of
            its topic.
        attributes: of n messages, `NO_ATTRIBUTES` where one has none.
    """

    event: Ints | Sequence[Micros] | None = None
    ids: Sequence[str] | None = None
    keys: Sequence[bytes] | None = None
    only: Sequence[str] | None = None
    attributes: Coded[Attributes] | None = None

    def given(self) -> dict[str, Any]:
        """The columns that there are, by name."""
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
        """int64[n], about how many bytes the values of each message take."""
        found = (COLUMNS[name].sizes(values) for name, values in self.given().items())
        return sum(found, np.zeros(n, np.int64))


COLUMNS: Final[Mapping[str, Column]] = {
    "event": Moments(),
    "ids": Values(""),
    "keys": Values(b"", stored=False),
    "only": Values(""),
    "attributes": Shared(),
}
"""What kind each column is of, in the order of `Sparse`."""

NOTHING: Final = Sparse()
"""No message has any."""

assert tuple(COLUMNS) == Sparse._fields


class SparseBuilder:
    """Builds the sparse columns of a batch out of those of its pieces."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[tuple[int, Sparse]] = []

    def add(self, start: int, sparse: Sparse) -> None:
        """Of the messages from number `start` on."""
        if sparse is not NOTHING:
            self._pieces.append((start, sparse))

    def build(self, n: int) -> Sparse:
        """Of all n messages."""
        if not self._pieces:
            return NOTHING
        starts, sparse = zip(*self._pieces, strict=True)
        found = []
        for column, values in zip(COLUMNS.values(), zip(*sparse, strict=True), strict=True):
            pieces = [pair for pair in zip(starts, values, strict=True) if pair[1] is not None]
            found.append(column.spread(n, pieces) if pieces else None)
        return Sparse(*found)
