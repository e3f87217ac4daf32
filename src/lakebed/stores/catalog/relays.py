"""Relays of owners, each as its document, with a number that is never used again."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, case, select, update

from lakebed.ports.catalog.relays import CONSUMER, RelayCheck, StoredRelay, any_relay
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.account_tables import relays
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.named import Named
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import NotFound
from lakebed.vocabulary.times import Micros, now

_REVISIONS = tables.revisions
_COUNTER = "relays"
_CHECKPOINTS = tables.checkpoints
_IDENTITIES = (
    tables.outbox_followers.c.relay,
    tables.outbox_streams.c.reader,
    tables.outbox_blocks.c.reader,
    tables.backfills.c.relay,
)
"""Columns of other tables that have the identity of a relay."""


_BACKFILLS = select(*(tables.backfills.c[name] for name in ("relay", "owner", "name", "number")))


class SqlRelays(Database):
    """Implements `ports.catalog.relays.RelayStore`."""

    def relays(self, owner: str | None = None) -> list[StoredRelay]:
        query = select(relays).order_by(relays.c.owner, relays.c.name)
        if owner is not None:
            query = query.where(relays.c.owner == owner)
        with self._read() as connection:
            return [_relay(row) for row in connection.execute(query)]

    def relay(self, owner: str, name: str) -> StoredRelay | None:
        with self._read() as connection:
            return _NAMED.find(connection, owner, name)

    def put_relays(
        self, relays_: Sequence[StoredRelay], *, create: bool = False, check: RelayCheck = any_relay
    ) -> list[tuple[StoredRelay, bool]]:
        with self._call() as connection:
            settled = [_settled(connection, relay) for relay in relays_]
            return _NAMED.put(connection, settled, create, check)

    def rewind_relay(
        self, owner: str, name: str, since: Micros, check: RelayCheck = any_relay
    ) -> StoredRelay:
        with self._call() as connection:
            before = _found(connection, owner, name, check)
            number = next_number(connection)
            return _change(
                connection, before, number=number, since=since, resumed=before.resumed + 1
            )

    def resume_relay(
        self, owner: str, name: str, paused: bool, check: RelayCheck = any_relay
    ) -> StoredRelay:
        with self._call() as connection:
            before = _found(connection, owner, name, check)
            document = {key: one for key, one in before.document.items() if key != "paused"}
            if paused:
                document["paused"] = True
            resumed = before.resumed + (not paused)
            text = json.dumps(document)
            return _change(connection, before, document=text, resumed=resumed)

    def renumber_relays(self) -> int:
        with self._call() as connection:
            found = [_relay(row) for row in connection.execute(select(relays))]
            for before in found:
                after = replace(before, number=next_number(connection))
                key = (relays.c.owner == before.owner) & (relays.c.name == before.name)
                connection.execute(update(relays).where(key).values(number=after.number))
                _rename(connection, before.id, after.id)
            for relay, owner, name, number in connection.execute(_BACKFILLS):
                new = next_number(connection)
                key = tables.backfills.c.relay == relay
                connection.execute(update(tables.backfills).where(key).values(number=new))
                _rename(connection, f"{owner}/{name}/{number}", f"{owner}/{name}/{new}")
            return len(found)

    def delete_relay(self, owner: str, name: str, check: RelayCheck = any_relay) -> None:
        with self._call() as connection:
            _NAMED.delete(connection, owner, name, check)


def _rename(connection: Connection, before: str, after: str) -> None:
    """Give an identity's states, and what is noted under it, to another."""
    saved = (_CHECKPOINTS.c.consumer == CONSUMER) & (_CHECKPOINTS.c.part == before)
    connection.execute(update(_CHECKPOINTS).where(saved).values(part=after))
    for column in _IDENTITIES:
        named = update(column.table).where(column == before)
        connection.execute(named.values({column.name: after}))


def _settled(connection: Connection, wanted: StoredRelay) -> StoredRelay:
    """With its number and where it begins: those it has, if it reads what it has read."""
    before = _NAMED.find(connection, wanted.owner, wanted.name)
    if before is not None and _source(before) == _source(wanted):
        return replace(
            wanted, number=before.number, starts=before.starts, since=before.since,
            resumed=before.resumed,
        )  # fmt: skip
    return replace(wanted, number=next_number(connection))


def _source(relay: StoredRelay) -> Any:
    """What identifies the source: a policy and what it gives, or messages of whatever topics."""
    source = relay.document["from"]
    return (source.get("policy"), source.get("what")) if "policy" in source else "messages"


def next_number(connection: Connection) -> int:
    """A number greater than all before, also of relays that are gone.

    Microseconds of the clock where they are greater: a catalog that was restored uses none again,
    and relays of two instances, which may have one target, hardly have the same.
    """
    upsert = insert(connection.dialect.name, _REVISIONS)
    moment = now()
    value = _REVISIONS.c.value
    raised = case((value < moment, moment), else_=value + 1)
    return int(
        connection.execute(
            upsert.values(name=_COUNTER, value=moment)
            .on_conflict_do_update(index_elements=_REVISIONS.primary_key, set_={"value": raised})
            .returning(value)
        ).scalar_one()
    )


def _found(connection: Connection, owner: str, name: str, check: RelayCheck) -> StoredRelay:
    before = _NAMED.find(connection, owner, name)
    if before is None:
        raise NotFound(f"there is no relay {name!r}")
    check(before)
    return before


def _change(connection: Connection, before: StoredRelay, **values: Any) -> StoredRelay:
    key = (relays.c.owner == before.owner) & (relays.c.name == before.name)
    version = before.version + 1
    connection.execute(update(relays).where(key).values(updated=now(), version=version, **values))
    after = _NAMED.find(connection, before.owner, before.name)
    assert after is not None
    return after


def _relay(row: Row[Any]) -> StoredRelay:
    values = row._asdict()
    starts = {int(partition): end for partition, end in json.loads(values["starts"]).items()}
    return StoredRelay(**(values | {"document": json.loads(values["document"]), "starts": starts}))


_NAMED = Named(
    relays,
    "relay",
    _relay,
    written=lambda relay: {
        "document": json.dumps(relay.document), "number": relay.number,
        "starts": json.dumps(dict(relay.starts)), "since": relay.since, "resumed": relay.resumed,
    },
    same=lambda before, wanted: before.document == wanted.document,
    fixed=lambda relay: {"maker": relay.maker},
)  # fmt: skip
