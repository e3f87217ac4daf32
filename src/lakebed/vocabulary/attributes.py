"""Attributes of messages, which are determined once, when a message is received.

Most messages of a connection have equal attributes, so a batch holds each distinct value once:

    Coded: codes int32[n] ──> table of the distinct values
"""

from collections.abc import Iterable
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
        index: dict[T, int] = {}
        codes = [index.setdefault(value, len(index)) for value in values]
        return cls(np.array(codes, np.int32), tuple(index))

    @classmethod
    def constant(cls, value: T, n: int) -> "Coded[T]":
        return cls(np.zeros(n, np.int32), (value,))

    def take(self, index: NDArray[np.intp]) -> "Coded[T]":
        """The values at `index`, in that order."""
        return Coded(self.codes[index], self.table)

    def compact(self) -> "Coded[T]":
        """The same without unused values."""
        used, codes = np.unique(self.codes, return_inverse=True)
        table = tuple(self.table[code] for code in used.tolist())
        return Coded(codes.astype(np.int32), table)
