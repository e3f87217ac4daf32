"""The series store: rows of records and aggregates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakebed.ports.erasure import Erasure
from lakebed.ports.health import Health
from lakebed.ports.question import Page, Question
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it


class SeriesWriter(Protocol):
    """Calls block (an engine releases the interpreter lock) and may be made from any thread."""

    def write(self, table: str, rows: "pa.Table") -> None:
        """Write rows durably, in one insert. Columns are named; those left out get defaults.

        Args:
            table: its name in `kinds.TABLES`. Rows equal in its key replace each other.

        Raises:
            StoreUnavailable: not written, or not known to be: the same call may be repeated.
        """
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What one policy keeps of one topic in one table; `size` as the rows' columns say."""

    table: str
    policy: str
    topic: str
    rows: int
    size: int


class SeriesReader(Protocol):
    def read(self, question: Question) -> Page:
        """One page of what a policy kept.

        Raises:
            BadRequest: the cursor does not belong to this question.
            StoreUnavailable: the store does not answer.
        """
        ...

    def usage(self, owner: str) -> Iterator[Usage]:
        """What an owner keeps, by table, policy and topic."""
        ...


class SeriesEraser(Protocol):
    def erase(self, wanted: Erasure, below: Mapping[int, int]) -> int:
        """Delete what was kept, in all tables; gone on return. Slow: whole parts are rewritten.

        Args:
            below: for each partition the offset behind what may be deleted. Nothing below it is
                written again: the keepers have seen to that.

        Returns:
            how many rows a reader will miss.

        Raises:
            StoreUnavailable: some may be gone: the same call may be made again.
        """
        ...


class SeriesCopier(Protocol):
    """What moving a series to another store needs."""

    def counts(self) -> dict[str, int]:
        """Rows of each table, replaced ones with them."""
        ...

    def clear(self) -> None:
        """Delete all rows."""
        ...

    def contents(self, alive: Micros) -> "Contents":
        """What readers see, but for rows that have expired by the time `alive`."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """Rows as readers see them, and a sum over their hashes, without the partition of windows."""

    rows: int
    sum: int


Contents = dict[tuple[str, str, str], Content]
"""By table, owner and policy."""


class SeriesSnapshots(Protocol):
    def snapshot(self) -> "SeriesSnapshot":
        """Everything that is in the tables now, at the cost of links. One at a time; close it."""
        ...


class Series(SeriesWriter, SeriesReader, SeriesEraser, SeriesCopier, SeriesSnapshots, Protocol):
    """The store of records and windows, in the tables that the kinds of policy declare."""

    def missing(self) -> "Missing":
        """What was gone when the store was opened."""
        ...

    def health(self) -> Health: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """Attributes:
    everything: whether none of the tables was there: the store is new, or all of it is lost.
    broken: the parts of tables that the store has put aside as damaged, as "table/name".
    covered: further ones that cost nothing, because what they were made of is there.
    """

    everything: bool
    broken: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """An immutable piece of a table, identified by its `hash`.

    Attributes:
        partition: of the table, as the store names it.
        name: under which a snapshot reads it.
        size: bytes of its rows in memory, about.
    """

    table: str
    partition: str
    name: str
    hash: str
    rows: int
    size: int


class SeriesSnapshot(Protocol):
    def parts(self) -> list[Part]:
        """All parts, by table and name."""
        ...

    def read(self, part: Part, rows: int) -> "Iterator[pa.Table]":
        """The part in pieces of `rows` rows, the same pieces each time."""
        ...

    def close(self) -> None: ...
