"""The table that a relay writes to, as it is at the moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection, sql

from lakebed.ports.relays import Record, TargetUnavailable
from lakebed.relays.targets.postgres import columns
from lakebed.relays.targets.showing import OWN

_MADE = "made by a relay of Lakebed"
"""The comment of a table that Lakebed has made, and may add columns to."""

_FIND = (
    "select c.oid, obj_description(c.oid, 'pg_class') from pg_class c where c.oid = to_regclass(%s)"
)
_COLUMNS = """
    select a.attname, n.nspname, t.typname, bt.typname
    from pg_attribute a
    join pg_type t on t.oid = a.atttypid
    join pg_namespace n on n.oid = t.typnamespace
    left join pg_type bt on bt.oid = t.typbasetype
    where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = '' and a.attidentity <> 'a'
    order by a.attnum
"""
_OWN = frozenset(OWN)
_OF_MESSAGES = frozenset({"value"})
_ONE_AT_A_TIME = "select pg_advisory_xact_lock(7450431187236105063)"  # for what creates tables


@dataclass(frozen=True, slots=True)
class Table:
    """Attributes:
    types: PostgreSQL's names of the columns that are written.
    offered: the columns that records gave so far, whether the table has them or not.
    made: whether Lakebed has made it.
    key: places of the columns of the key among them.
    insert: writes one array of texts for each column.
    """

    types: Mapping[str, str]
    offered: frozenset[str]
    made: bool
    key: Sequence[int]
    insert: sql.Composed

    def row(self, record: Record) -> list[str | None]:
        """Raises ValueError: a value is none of its column."""
        given = columns.given(record)
        return [columns.text(name, given.get(name), type) for name, type in self.types.items()]

    def knows(self, records: Sequence[Record]) -> bool:
        """Whether records give no columns that were not looked for yet."""
        return _offered(records) <= self.offered


def _offered(records: Sequence[Record]) -> frozenset[str]:
    names = frozenset().union(*(record.values for record in records))
    return names | _OF_MESSAGES | _OWN


def found(
    connection: Connection[Any],
    name: sql.Identifier,
    key: Sequence[str],
    records: Sequence[Record],
    chosen: Mapping[str, str],
) -> Table:
    """The table; made, or widened if Lakebed has made it, where it lacks what the records give.

    Raises:
        TargetUnavailable: it has no column of the key.
    """
    offered = _offered(records)
    table = read(connection, name, key, offered)
    if table is not None and not (
        table.made and offered - table.types.keys() - _OWN - _OF_MESSAGES
    ):
        return table
    with connection.transaction():
        connection.execute(_ONE_AT_A_TIME)
        types = columns.types(records, chosen)
        if table is None:
            _create(connection, name, key, types)
        else:
            _widen(connection, name, types)
    table = read(connection, name, key, offered)
    if table is None:
        raise TargetUnavailable(f"the table {_shown(name)} has gone again")
    return table


def read(
    connection: Connection[Any], name: sql.Identifier, key: Sequence[str], offered: frozenset[str]
) -> Table | None:
    """The table as the database has it; None where there is none."""
    there = connection.execute(_FIND, [name.as_string(connection)]).fetchone()
    if there is None:
        return None
    known = {
        column: (schema, type, base)
        for column, schema, type, base in connection.execute(_COLUMNS, [there[0]])
    }
    for column in key:
        if column not in known:
            raise TargetUnavailable(
                f"the table {_shown(name)} has no column {column}, which is in `key`"
            )
    used = {column: kind for column, kind in known.items() if column in offered}
    return Table(
        {column: base or type for column, (_, type, base) in used.items()},
        offered,
        there[1] == _MADE,
        [list(used).index(column) for column in key],
        _statement(name, {c: (schema, type) for c, (schema, type, _) in used.items()}, key),
    )


def _statement(
    name: sql.Identifier, types: Mapping[str, tuple[str, str]], key: Sequence[str]
) -> sql.Composed:
    """Insert or replace; casts name types without lengths, so that nothing is cut silently."""
    names = [sql.Identifier(column) for column in types]
    places = [sql.Identifier(f"c{index}") for index in range(len(types))]
    casts = [
        sql.SQL("r.{}::{}").format(place, sql.Identifier(*type))
        for place, type in zip(places, types.values(), strict=True)
    ]
    changed = [
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column))
        for column in types
        if column not in key
    ]
    comma = sql.SQL(", ")
    return sql.SQL(
        "insert into {} ({}) select {} from unnest({}) with ordinality as r({}, n) order by r.n"
        " on conflict ({}) do {}"
    ).format(
        name,
        comma.join(names),
        comma.join(casts),
        comma.join([sql.SQL("%s::text[]")] * len(types)),
        comma.join(places),
        comma.join(map(sql.Identifier, key)),
        sql.SQL("update set {}").format(comma.join(changed)) if changed else sql.SQL("nothing"),
    )


def _create(
    connection: Connection[Any],
    name: sql.Identifier,
    key: Sequence[str],
    types: Mapping[str, str],
) -> None:
    missing = [column for column in key if column not in types]
    if missing:
        raise TargetUnavailable(
            f"the table {_shown(name)} cannot be made: no record has {', '.join(missing)}, which is"
            f" in `key`; there are {', '.join(types)}"
        )
    comma = sql.SQL(", ")
    connection.execute(
        sql.SQL("create table if not exists {} ({}, primary key ({}))").format(
            name,
            comma.join(
                sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(type))
                for column, type in types.items()
            ),
            comma.join(map(sql.Identifier, key)),
        )
    )
    connection.execute(sql.SQL("comment on table {} is {}").format(name, sql.Literal(_MADE)))


def _widen(connection: Connection[Any], name: sql.Identifier, types: Mapping[str, str]) -> None:
    for column, type in types.items():
        connection.execute(
            sql.SQL("alter table {} add column if not exists {} {}").format(
                name,
                sql.Identifier(column),
                sql.SQL(type),
            )
        )


def _shown(name: sql.Identifier) -> str:
    return ".".join(name._obj)
