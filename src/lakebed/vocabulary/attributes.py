"""Attributes of messages, which are determined once, when a message is received.

Most messages of a connection have equal attributes, so a batch holds each distinct value once:

    Coded: codes int32[n] ──> table of the distinct values
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Pairs: TypeAlias = tuple[tuple[str, str], ...]


class Attributes(NamedTuple):
    """The attributes of a message; messages with equal attributes share the object.

    Attributes:
        content_type: content type of the payload that the sender gave; "" if none.
        principal: kind and name of the sender, such as `token:shed`; "" if not recorded.
        decisions: names and values of decisions made when it was received, which a replay reads.
        properties: names and values that the sender gave, in order; names may repeat.
    """

    content_type: str = ""
    principal: str = ""
    decisions: Pairs = ()
    properties: Pairs = ()

    def given(self) -> list[tuple[str, str | Pairs]]:
        """Names and values of the attributes that are not empty."""
        return [(name, value) for name, value in self._asdict().items() if value]


NO_ATTRIBUTES: Final = Attributes()


def numbered(column: Sequence[T]) -> tuple[NDArray[np.int32], tuple[T, ...]]:
    """Number the distinct values in the order of their first places; each is hashed once.

    Returns:
        int32[n], for each place the number of its value, and the distinct values.
    """
    n = len(column)
    first: dict[T, int] = {}
    places = np.fromiter(map(first.setdefault, column, range(n)), np.int32, n)
    table = tuple(first)
    if len(table) == n:  # as where many units send one message each
        return places, table
    numbers = np.empty(n, np.int32)
    starts = np.fromiter(first.values(), np.intp, len(table))
    numbers[starts] = np.arange(len(table), dtype=np.int32)
    return numbers[places], table


@dataclass(frozen=True, slots=True)
class Coded(Generic[T]):
    """n values of which many are equal (dictionary encoding).

    Attributes:
        codes: int32[n], for each message the index of its value in `table`.
        table: distinct values, of which some may be unused.
    """

    codes: NDArray[np.int32]
    table: tuple[T, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> "Coded[T]": ...

    def __getitem__(self, at: int | slice) -> "T | Coded[T]":
        if isinstance(at, slice):
            return Coded(self.codes[at], self.table)
        value: T = self.table[int(self.codes[at])]
        return value

    @classmethod
    def of(cls, values: Iterable[T]) -> "Coded[T]":
        codes, table = numbered(list(values))
        return cls(codes, table)

    @classmethod
    def constant(cls, value: T, n: int) -> "Coded[T]":
        return cls(np.zeros(n, np.int32), (value,))

    def take(self, index: NDArray[np.intp]) -> "Coded[T]":
        """The values at `index`, in that order."""
        return Coded(self.codes[index], self.table)

    def compact(self) -> "Coded[T]":
        """The same without unused values."""
        used = np.bincount(self.codes, minlength=len(self.table)) > 0
        if used.all():
            return self
        table = tuple(self.table[code] for code in np.flatnonzero(used).tolist())
        renumbered = np.cumsum(used, dtype=np.int32) - np.int32(1)
        return Coded(renumbered[self.codes], table)
