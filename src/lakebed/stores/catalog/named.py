"""Rows that an owner has by name, such as boards and shares: one upsert, and a version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection, Row, Table, delete, select

from lakebed.stores.catalog.owners import ensure
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import now


class Entry(Protocol):
    """A row as the port knows it."""

    @property
    def owner(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...


T = TypeVar("T", bound=Entry)


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """How one kind of entry lies in its table, whose key is (owner, name).

    Attributes:
        table: has the columns created, updated and version besides.
        what: what an entry is called in messages, such as `board`.
        read: makes an entry of a row.
        written: the columns that a change replaces, as they are stored.
        same: whether two entries say the same, so that nothing is to be written.
        fixed: the columns that are written once, when the entry is made.
    """

    table: Table
    what: str
    read: Callable[[Row[Any]], T]
    written: Callable[[T], Mapping[str, Any]]
    same: Callable[[T, T], bool]
    fixed: Callable[[T], Mapping[str, Any]] = lambda entry: {}

    def find(self, connection: Connection, owner: str, name: str) -> T | None:
        """The entry of this name, or None."""
        query = select(self.table).where(self._is(owner, name))
        row = connection.execute(query).one_or_none()
        return None if row is None else self.read(row)

    def put(
        self, connection: Connection, entries: Sequence[T], create: bool, check: Callable[[T], None]
    ) -> list[tuple[T, bool]]:
        """Write entries in this order; each as it is then, with whether it was made.

        Raises:
            Conflict: `create`, and the owner has one of such a name.
        """
        return [self._put(connection, entry, create, check) for entry in entries]

    def _put(
        self, connection: Connection, entry: T, create: bool, check: Callable[[T], None]
    ) -> tuple[T, bool]:
        ensure(connection, entry.owner)
        before = self.find(connection, entry.owner, entry.name)
        if before is not None:
            if create:
                raise Conflict(f"a {self.what} named {entry.name!r} exists already")
            check(before)
            if self.same(before, entry):
                return before, False
        moment, changed = now(), self.written(entry)
        upsert = insert(connection.dialect.name, self.table)
        replaced = (*changed, "updated", "version")
        connection.execute(
            upsert.on_conflict_do_update(
                index_elements=["owner", "name"],
                set_={name: upsert.excluded[name] for name in replaced},
            ),
            {
                "owner": entry.owner, "name": entry.name, **changed, **self.fixed(entry),
                "created": moment, "updated": moment,
                "version": 1 if before is None else before.version + 1,
            },
        )  # fmt: skip
        written = self.find(connection, entry.owner, entry.name)
        assert written is not None
        return written, before is None

    def delete(
        self, connection: Connection, owner: str, name: str, check: Callable[[T], None]
    ) -> None:
        """Raises:
        NotFound: the owner has none of this name.
        """
        before = self.find(connection, owner, name)
        if before is None:
            raise NotFound(f"there is no {self.what} {name!r}")
        check(before)
        connection.execute(delete(self.table).where(self._is(owner, name)))

    def _is(self, owner: str, name: str) -> Any:
        return (self.table.c.owner == owner) & (self.table.c.name == name)
