"""Tables of the series as the kinds declare them; an adapter turns them into its own language.

Rules of all tables:

* The sorting key begins with owner and policy and names a row by its data (topic, time, journal
  position, window), never by the moment of the write. Rows equal in the key replace each other, so
  a row written again replaces itself, and readers see each key once.
* A row and the one that it replaces lie in the same partition, because the partition is computed
  from the key.
* A column that an earlier version did not have goes to the end of the key: tables that exist get
  it there.
* `size` is the size of the message's payload in bytes; for aggregates, of the stored state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

TYPES = {"number": 1, "integer": 4, "boolean": 5, "text": 2, "json": 3}
"""Values of the column `type`: which of `number` and `text` holds the value. An integer is in both:
exact as text, and near enough for a plot as number. A truth value is 1 or 0."""

NUMERIC = ("number", "integer", "boolean")
"""Types whose values are in the column `number`."""

ColumnType = Literal[
    "name",
    "text",
    "time",
    "second",
    "uint8",
    "uint32",
    "uint64",
    "int32",
    "int64",
    "float64",
]
"""`name`: text that repeats. `time`: microseconds since 1970, UTC; `second`: whole seconds."""


@dataclass(frozen=True, slots=True)
class Column:
    """Attributes:
    type: of one value.
    many: whether a row holds a list of them.
    follows: how neighbours in the order of the key are related, which compression makes use of:
        "close" (small differences), "even" (equal differences), or "" for neither.
    endless: rows that are written without it never expire.
    """

    type: ColumnType
    many: bool = False
    follows: Literal["", "close", "even"] = ""
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its columns, and how rows are ordered and replaced.

    Attributes:
        key: the sorting key; rows equal in it replace each other.
        version: the column that decides which of them stays; None for the one written last.
        partition: pairs of ("day" or "month", column of the key or `expires`) that rows are parted
            by; empty for one partition.
        begin: the column of event time that rows are parted by, if any: the least that it holds
            can be told without reading a row.
        expires: whether rows leave by the time in their column `expires`.
        granule: rows that are read at least where one of them is wanted; None for as many as the
            store has by itself. Tables that exist keep theirs.
    """

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    partition: tuple[tuple[Literal["day", "month"], str], ...] = ()
    version: str | None = None
    expires: bool = False
    begin: str | None = None
    granule: int | None = None


STORED = "stored"
"""A column for the moment at which a row was given to the store. Its writer fills it in at each
attempt, so a row that is written again differs in it, and in nothing else."""

_OWNER = {"owner": Column("name"), "policy": Column("name"), "topic": Column("name")}

SEVERAL: Mapping[str, Column] = {"field": Column("name"), "element": Column("uint32")}
"""What tells values of one message apart, behind its position: the field, "" where it has one
value, and the place in the array that the policy takes apart."""

RECORD: Mapping[str, Column] = {
    **_OWNER,
    "time": Column("time", follows="close"),
    "partition": Column("uint32"),
    "offset": Column("int64", follows="even"),
    **SEVERAL,
    "type": Column("uint8"),
    "number": Column("float64"),
    "text": Column("text"),
    "id": Column("text"),
    "size": Column("uint32"),
    "around": Column("text"),
}
"""Columns of a table that holds single records. `around` is a JSON object of what surrounded the
message, as far as the policy keeps it."""

COMPLETE, CUT = 1, 2
"""Bits of the column `complete`: the window has ended; a change of its policy cut it short."""

WINDOW: Mapping[str, Column] = {
    **_OWNER,
    "start": Column("second", follows="close"),
    "end": Column("second", follows="close"),
    "partition": Column("uint32"),
    "fragment": Column("int64"),
    "version": Column("int64"),
    "complete": Column("uint8"),  # bits: COMPLETE, CUT
    "count": Column("uint64"),
    "first_time": Column("time"),
    "first_offset": Column("int64"),
    "last_time": Column("time"),
    "last_offset": Column("int64"),
    "size": Column("uint32"),
    "expires": Column("second"),
    "field": Column("name"),
}
"""Columns of a table that holds windows."""

IN_ORDER: Mapping[str, Column] = {"moments": Column("int64", many=True)}
"""Columns of windows with functions that depend on the order of values: times of those that tell,
in microseconds. One before `start` is that of the last value before the window."""

RECORD_KEY = ("owner", "policy", "topic", "time", "partition", "offset", "field", "element")

WINDOW_KEY = ("owner", "policy", "topic", "start", "end", "partition", "fragment", "field")
"""`fragment` is the offset of its first message. A window that late data opens again after it left
memory gets another fragment; readers merge the fragments."""
