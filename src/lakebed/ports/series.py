"""The series store: rows of records and aggregates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakebed.ports.erasure import Erasure
from lakebed.ports.events import EventIndexer, EventReader
from lakebed.ports.health import Health
from lakebed.ports.question import Page, Question
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it


class SeriesWriter(Protocol):
    """Writes rows. Calls block and are thread-safe; an engine releases the interpreter lock."""

    def write(self, table: str, rows: "pa.Table") -> None:
        """Write rows durably, in one insert.

        Args:
            table: a name in `kinds.TABLES`.
            rows: columns that are left out get defaults. A row replaces one with the same key.

        Raises:
            StoreUnavailable: not written, or it is unknown whether written: repeat the call.
        """
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What one policy stores of one topic in one table; `size` is the sum of the rows' sizes."""

    table: str
    policy: str
    topic: str
    rows: int
    size: int


class SeriesReader(Protocol):
    def read(self, question: Question) -> Page:
        """Answer a question with one page.

        Raises:
            BadRequest: the cursor does not belong to this question.
            StoreUnavailable: the store does not answer.
            StoreDamaged: a part that it would read is damaged.
        """
        ...

    def usage(self, owner: str) -> Iterator[Usage]:
        """Yield what an owner has stored, by table, policy and topic."""
        ...


class SeriesEraser(Protocol):
    def erase(self, wanted: Erasure, below: Mapping[int, int]) -> int:
        """Delete rows from all tables; they are deleted on return. Slow: whole parts are rewritten.

        Args:
            below: for each partition the end of the offsets to delete. The keepers write no rows
                of earlier offsets any more.

        Returns:
            the number of rows that readers could see before.

        Raises:
            StoreUnavailable: some rows may be deleted: repeat the call.
        """
        ...


class SeriesCopier(Protocol):
    """Counts and compares contents, to move a series to another store."""

    def counts(self) -> dict[str, int]:
        """The number of rows of each table, including replaced ones."""
        ...

    def clear(self) -> None:
        """Delete all rows."""
        ...

    def contents(self, alive: Micros) -> "Contents":
        """Counts and hashes of the rows that readers see, without those expired at `alive`."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    """The number of rows that readers see, and the sum of their hashes.

    The partition of windows is not hashed, as a move to another journal changes it, nor the moment
    at which a row was stored, as writing it again does.
    """

    rows: int
    sum: int


Contents = dict[tuple[str, str, str], Content]
"""By table, owner and policy."""


class SeriesSnapshots(Protocol):
    def snapshot(self) -> "SeriesSnapshot":
        """The tables as of now, cloned by hard links. One snapshot at a time; close it."""
        ...


class Series(
    SeriesWriter,
    SeriesReader,
    EventReader,
    EventIndexer,
    SeriesEraser,
    SeriesCopier,
    SeriesSnapshots,
    Protocol,
):
    """The store of records and windows, in the tables that the kinds of policy declare.

    Attributes:
        damages: the number of damaged parts that calls have found since it was opened; those of an
            embedded store are detached, and are `missing`.
    """

    damages: int

    def missing(self) -> "Missing":
        """What is missing now.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        ...

    def migrate(self) -> None:
        """Create the tables that are missing.

        Raises:
            StoreUnavailable: not all of them were created: call again.
        """
        ...

    def health(self) -> Health: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Missing:
    """What of a series is missing.

    Attributes:
        everything: whether there was no table: the store is new, or all of it is lost.
        broken: damaged parts that the store has detached, as "table/name".
        covered: further damaged parts; no row is lost with them, because their sources exist.
        tables: those that do not exist, by their names in `kinds.TABLES`.
    """

    everything: bool
    broken: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """An immutable piece of a table, identified by its `hash`.

    Attributes:
        partition: the table's partition, as the store names it.
        name: the name under which a snapshot reads the part.
        size: about the bytes of its rows in memory.
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
        """Yield the part in chunks of `rows` rows, the same chunks each time."""
        ...

    def close(self) -> None: ...
