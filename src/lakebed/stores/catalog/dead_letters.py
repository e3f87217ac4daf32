"""Dead letters: messages that broke a policy's code, kept whole until they are settled."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    delete,
    func,
    null,
    or_,
    select,
    update,
)

from lakebed.ports.catalog.dead_letters import REFUSED, DeadLetter, Fate
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.times import UNSET, Micros

_TABLE = tables.dead_letters
_FATES = tables.dead_letter_fates
_CHECKPOINTS = tables.checkpoints
_COLUMNS = tuple(_TABLE.c[name] for name in DeadLetter.__slots__)
_CONTENT = ("payload", "id", "error", "attributes")
_HEAD = tuple(null() if c.name in _CONTENT else c for c in _COLUMNS)
_WAITS = _TABLE.c.fate.is_(None)
_ASIDE = func.coalesce(_TABLE.c.aside, _TABLE.c.received)
_NEWEST = (_TABLE.c.received.desc(), _TABLE.c.partition, _TABLE.c.offset.desc(), _TABLE.c.policy)
_DEFAULTS: dict[str, Any] = {
    "payload": b"", "event": UNSET, "id": "", "error": "", "aside": 0, "attributes": NO_ATTRIBUTES,
}  # fmt: skip


class SqlDeadLetters(Database):
    """Implements `ports.catalog.dead_letters`."""

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        if not letters:
            return
        with self._call() as connection:
            connection.execute(
                insert(connection.dialect.name, _TABLE).on_conflict_do_nothing(),
                [_row(letter) for letter in letters],
            )

    def dead_letters(self, owner: str, limit: int = 100) -> list[DeadLetter]:
        return self._letters(_waiting(_COLUMNS, owner).order_by(*_NEWEST).limit(limit))

    def dead_letter_heads(self, owner: str) -> list[DeadLetter]:
        return self._letters(_waiting(_HEAD, owner).order_by(*_NEWEST))

    def dead_letter_sizes(self, owner: str) -> dict[tuple[str, int, int], int]:
        size = func.length(_TABLE.c.payload)
        columns = (_TABLE.c.policy, _TABLE.c.partition, _TABLE.c.offset, size)
        with self._read() as connection:
            found = connection.execute(_waiting(columns, owner))
            return {(row[0], row[1], row[2]): row[3] or 0 for row in found}

    def dead_letter(
        self, owner: str, policy: str, partition: int, offset: int
    ) -> DeadLetter | None:
        found = self._letters(
            _waiting(_COLUMNS, owner).where(_matches((owner, policy, partition, offset))).limit(1)
        )
        return found[0] if found else None

    def settle_dead_letters(self, letters: Sequence[DeadLetter], fate: Fate) -> int:
        with self._call() as connection:
            return _settle(connection, map(_key, letters), fate)

    def expire_dead_letters(self, most: int, before: Micros, consumer: str) -> int:
        with self._call() as connection:
            expired = _settle(connection, _expired(connection, most, before), "expired")
            _delete_settled(connection, consumer)
            return expired

    def dead_letter_fates(self, owner: str) -> dict[Fate, int]:
        query = select(_FATES.c.fate, _FATES.c.count).where(_FATES.c.owner == owner)
        with self._read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _letters(self, query: Select[Any]) -> list[DeadLetter]:
        with self._read() as connection:
            return [_letter(row) for row in connection.execute(query)]


Key = tuple[str, str, int, int]
"""owner, policy, partition, offset"""


def _waiting(columns: Sequence[ColumnElement[Any]], owner: str) -> Select[Any]:
    return select(*columns).where(_TABLE.c.owner == owner, _WAITS)


def _row(letter: DeadLetter) -> dict[str, Any]:
    text = None
    if letter.attributes != NO_ATTRIBUTES:
        text = json.dumps(dict(letter.attributes.given()))
    return asdict(letter) | {"attributes": text}


def _parse(text: str) -> Attributes:
    """Parse stored attributes; pairs come back as lists, and are tuples again afterwards."""
    found: dict[str, Any] = {
        name: value if isinstance(value, str) else tuple(map(tuple, value))
        for name, value in json.loads(text).items()
    }
    return Attributes(**found)


def _letter(row: Sequence[Any]) -> DeadLetter:
    """Make a dead letter of a row; NULL columns (not selected, or of an older row) get defaults."""
    given: dict[str, Any] = dict(zip(DeadLetter.__slots__, row, strict=True))
    if given["attributes"] is not None:
        given["attributes"] = _parse(given["attributes"])
    missing = [name for name, value in given.items() if value is None]
    return DeadLetter(**given | {name: _DEFAULTS[name] for name in missing})


def _key(letter: DeadLetter) -> Key:
    return letter.owner, letter.policy, letter.partition, letter.offset


def _matches(key: Key) -> ColumnElement[bool]:
    names = ("owner", "policy", "partition", "offset")
    return and_(*(_TABLE.c[name] == value for name, value in zip(names, key, strict=True)))


def _settle(connection: Connection, keys: Iterable[Key], fate: Fate) -> int:
    """Give unsettled dead letters a fate, erase their content, and count them by owner."""
    settled: Counter[str] = Counter()
    empty = {"payload": b"", "id": None, "error": None, "attributes": None}
    for key in keys:
        done = connection.execute(
            update(_TABLE).where(_matches(key), _WAITS).values(fate=fate, **empty)
        )
        settled[key[0]] += done.rowcount
    for owner, count in sorted((+settled).items()):
        row = {"owner": owner, "fate": fate, "count": count}
        statement = insert(connection.dialect.name, _FATES).values(**row)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=_FATES.primary_key,
                set_={"count": _FATES.c.count + statement.excluded.count},
            )
        )
    return settled.total()


def _expired(connection: Connection, most: int, before: Micros) -> list[Key]:
    """The keys of dead letters that are too old, or beyond the newest `most` of their owner."""
    names = (_TABLE.c.owner, _TABLE.c.policy, _TABLE.c.partition, _TABLE.c.offset)
    rank = func.row_number().over(partition_by=_TABLE.c.owner, order_by=_NEWEST)
    ranked = select(*names, _ASIDE.label("since"), rank.label("rank")).where(_WAITS).subquery()
    query = select(*(ranked.c[name.name] for name in names)).where(
        or_(ranked.c.since < before, ranked.c.rank > most)
    )
    return [(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]


def _delete_settled(connection: Connection, consumer: str) -> None:
    """Delete settled rows below the consumer's lowest offset: no replay adds those again."""
    lowest = connection.execute(
        select(_CHECKPOINTS.c.partition, func.min(_CHECKPOINTS.c.offset))
        .where(_CHECKPOINTS.c.consumer == consumer)
        .group_by(_CHECKPOINTS.c.partition)
    ).all()
    connection.execute(delete(_TABLE).where(_TABLE.c.fate.is_not(None), _TABLE.c.policy == REFUSED))
    for partition, offset in lowest:
        connection.execute(
            delete(_TABLE).where(
                _TABLE.c.fate.is_not(None),
                _TABLE.c.partition == partition,
                _TABLE.c.offset < offset,
            )
        )
