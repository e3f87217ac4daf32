"""Last values: one row per owner, topic, policy and field, written in bulk."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Dialect, Select, bindparam, delete, select, tuple_

from lakebed.ports.catalog.last_values import LastValue
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import Micros

_TABLE = tables.last_values
_NAMES = [column.name for column in _TABLE.columns]
_KEY = ("owner", "topic", "policy", "field")
_ORDER = ("as_of", "partition", "offset")


class SqlLastValues(Database):
    """Implements `ports.LastValueStore`."""

    def upsert_last(self, values: Sequence[LastValue]) -> None:
        # One row per key, because PostgreSQL refuses to update a row twice in one statement.
        # In the order of keys, so that two writers cannot deadlock.
        latest: dict[tuple[str, str, str, str], LastValue] = {}
        for value in values:
            key = (value.owner, value.topic, value.policy, value.field)
            known = latest.get(key)
            if known is None or _order(known) < _order(value):
                latest[key] = value
        if not latest:
            return
        ordered = [latest[key] for key in sorted(latest)]
        with self._call() as connection:
            # bypasses SQLAlchemy's binding, which takes longer than the database
            statement, positional = _upsert(connection.dialect)
            rows: list[Any] = [_row(value) for value in ordered]
            if not positional:
                rows = [dict(zip(_NAMES, row, strict=True)) for row in rows]
            connection.exec_driver_sql(statement, rows)

    def last_values(
        self, owner: str, topic: str | None = None, prefix: str = "", policy: str | None = None
    ) -> list[LastValue]:
        asked = {"owner": owner, "topic": topic, "policy": policy}
        if prefix:
            asked |= {"begin": prefix, "end": successor(prefix)}
        asked = {name: value for name, value in asked.items() if value is not None}
        with self._read() as connection:
            return [_value(row) for row in connection.execute(_select(*asked), asked)]

    def delete_last(self, values: Sequence[LastValue]) -> int:
        names = (*_KEY, "partition", "offset")
        gone = 0
        with self._call() as connection:
            for value in values:
                same = (_TABLE.c[name] == getattr(value, name) for name in names)
                gone += connection.execute(delete(_TABLE).where(*same)).rowcount
        return gone


def successor(prefix: str) -> str | None:
    """Return the least text above all texts with this prefix, by code points (as UTF-8 sorts).

    None if there is no such text.
    """
    stem = prefix.rstrip("\U0010ffff")
    if not stem:
        return None
    code = ord(stem[-1]) + 1
    if 0xD800 <= code <= 0xDFFF:  # surrogates are no characters and have no UTF-8
        code = 0xE000
    return stem[:-1] + chr(code)


@cache
def _select(*asked: str) -> Select[Any]:
    """The query for these conditions. Cached: building it takes longer than reading a row."""
    columns = _TABLE.c
    conditions = {
        "owner": columns.owner == bindparam("owner"),
        "topic": columns.topic == bindparam("topic"),
        "policy": columns.policy == bindparam("policy"),
        "begin": columns.topic >= bindparam("begin"),
        "end": columns.topic < bindparam("end"),
    }
    chosen = [conditions[name] for name in asked]
    return select(_TABLE).where(*chosen).order_by(columns.topic, columns.policy, columns.field)


@cache
def _upsert(dialect: Dialect) -> tuple[str, bool]:
    """The upsert of whole rows, and whether its parameters are positional."""
    statement = insert(dialect.name, _TABLE)
    excluded = statement.excluded
    newer = statement.on_conflict_do_update(
        index_elements=_KEY,
        set_={c.name: excluded[c.name] for c in _TABLE.columns if c.name not in _KEY},
        where=tuple_(*(excluded[name] for name in _ORDER))
        > tuple_(*(_TABLE.c[name] for name in _ORDER)),
    )
    compiled = newer.compile(dialect=dialect)
    return str(compiled), bool(compiled.positional)


def _order(value: LastValue) -> tuple[int, int, int]:
    return _as_of(value), value.partition, value.offset


def _as_of(value: LastValue) -> Micros:
    return value.time if value.as_of is None else value.as_of


def _row(value: LastValue) -> tuple[Any, ...]:
    """The values in the order of the table's columns, as their types would bind them."""
    text = value.value if isinstance(value.value, str) else None
    if value.type == "integer":
        text = str(value.value)  # BIGINT would be one more column
    return (
        value.owner,
        value.topic,
        value.policy,
        value.type,
        value.time,
        value.value if text is None else None,
        None if text is None else tables.to_utf8(text),
        value.size,
        value.partition,
        value.offset,
        tables.to_utf8(value.id),
        _as_of(value),
        value.field,
        tables.to_utf8(value.around),
    )


_READ: dict[str, Callable[[Any], Any]] = {"integer": int, "number": float, "boolean": float}


def _value(row: Sequence[Any]) -> LastValue:
    owner, topic, policy, kind, time, number, text, size, partition, offset, id_, *more = row
    as_of, field, around = more
    value = _READ.get(kind, str)(number if kind in ("number", "boolean") else text)
    as_of = None if as_of == time else as_of
    place = partition, offset, id_
    return LastValue(
        owner, policy, topic, kind, time, value, size, *place, as_of, field, around or ""
    )
