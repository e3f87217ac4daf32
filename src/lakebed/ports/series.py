"""The series store: rows of records and aggregates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lakebed.ports.health import Health
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it


class Series(Protocol):
    """The ClickHouse-shaped store of records and aggregates, with the tables of `schema.py`.

    Both calls block (the engine releases the GIL) and may be made from any thread.
    """

    def insert(self, table: str, rows: "pa.Table") -> None:
        """Write rows durably, in one insert. Columns are named; those left out get defaults.

        Raises:
            StoreUnavailable: not written, or not known to be: the same insert may be repeated.
        """
        ...

    def query(self, sql: str, parameters: Mapping[str, Any]) -> "pa.Table":
        """Run a SELECT with bound parameters (`{name:Type}`)."""
        ...

    def oldest(self, table: str) -> Micros | None:
        """Event time at which the rows of a table begin; None where that is unknown.

        For planning alone: it may be a minute old, and older rows may be there.
        """
        ...

    def delete(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        """Remove the rows that a condition with bound parameters holds of; gone on return.

        Slow: whole parts are written anew. Rows inserted meanwhile may stay.

        Raises:
            StoreUnavailable: some may be gone: the same call may be made again.
        """
        ...

    def snapshot(self) -> "SeriesSnapshot":
        """Everything that is in the tables now, at the cost of links. One at a time; close it."""
        ...

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
    """A stretch of a table that never changes: what is in it is known by its `hash`.

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
