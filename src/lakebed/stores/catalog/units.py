"""Units, their tokens, and what they last told."""

import json
import uuid as uuids
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, select, tuple_, update

from lakebed.ports.accounts.credentials import unit_label
from lakebed.ports.accounts.units import (
    Check,
    Unit,
    UnitChanges,
    UnitLog,
    UnitStatus,
    Visibility,
    anything,
)
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import NOBODY, bump
from lakebed.stores.catalog.owners import ensure
from lakebed.stores.catalog.slices import slices
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import Micros, now

_UNITS, _REMOVED, _TOKENS = (
    tables.units,
    tables.units_removed,
    tables.unit_tokens,
)
_STATUSES, _LOGS = tables.unit_statuses, tables.unit_logs
UNIT = select(*(_UNITS.c[name] for name in Unit.__slots__))
_WRITTEN = ("publish", "read", "tags", "visibility", "limits", "updated", "revision")


class SqlUnits(Database):
    """Implements `ports.accounts.UnitStore`."""

    def units(
        self, owner: str | None = None, after: tuple[str, str] = ("", ""), limit: int | None = None
    ) -> list[Unit]:
        query = UNIT.where(tuple_(_UNITS.c.owner, _UNITS.c.name) > after)
        if owner is not None:
            query = query.where(_UNITS.c.owner == owner)
        query = query.order_by(_UNITS.c.owner, _UNITS.c.name).limit(limit)
        with self._read() as connection:
            return [unit_of(row) for row in connection.execute(query)]

    def count_units(self, owner: str) -> int:
        with self._read() as connection:
            count = select(func.count()).where(_UNITS.c.owner == owner)
            return connection.execute(count).scalar_one()

    def unit(self, owner: str, key: str) -> Unit | None:
        one = UNIT.where(
            _UNITS.c.owner == owner, (_UNITS.c.name == key) | (_UNITS.c.uuid == key.lower())
        )
        with self._read() as connection:
            found = [unit_of(row) for row in connection.execute(one)]
        # a name that looks like another unit's uuid counts as the name
        return next((unit for unit in found if unit.name == key), found[0] if found else None)

    def unit_by_uuid(self, uuid: str) -> Unit | None:
        with self._read() as connection:
            row = connection.execute(UNIT.where(_UNITS.c.uuid == uuid.lower())).one_or_none()
        return None if row is None else unit_of(row)

    def put_units(
        self, units: Sequence[Unit], *, create: bool = False, check: Check = anything
    ) -> list[tuple[Unit, bool]]:
        with self._call() as connection:
            revision, moment = bump(connection, NOBODY), now()
            for owner in dict.fromkeys(unit.owner for unit in units):
                ensure(connection, owner)
            current = _current(connection, units)
            written: list[tuple[Unit, bool]] = []
            changed: list[Unit] = []
            for wanted in units:
                before = current.get((wanted.owner, wanted.name))
                if before is not None:
                    if create:
                        raise Conflict(f"{wanted.owner} has a unit named {wanted.name!r} already")
                    check(before)
                unit = _next(wanted, before, revision, moment)
                if unit is not before:
                    changed.append(unit)
                    current[unit.owner, unit.name] = unit
                written.append((unit, before is None))
            if changed:
                _write(connection, changed)
            if there := [unit_label(unit.uuid) for unit, made in written if not made]:
                bump(connection, there)
        return written

    def block_unit(self, uuid: str, blocked: bool, check: Check = anything) -> Unit:
        with self._call() as connection:
            revision = bump(connection, [unit_label(uuid)])
            values = {"blocked": blocked, "revision": revision, "updated": now()}
            unit = _existing(connection, uuid)
            check(unit)
            if unit.blocked == blocked:
                return unit
            connection.execute(update(_UNITS).where(_UNITS.c.uuid == uuid).values(values))
            return _existing(connection, uuid)

    def delete_unit(self, uuid: str, check: Check = anything) -> None:
        with self._call() as connection:
            revision = bump(connection, [unit_label(uuid)])
            check(_existing(connection, uuid))
            for table in (_TOKENS, _STATUSES, _LOGS, tables.unit_presence):
                connection.execute(delete(table).where(table.c.unit == uuid))
            connection.execute(delete(_UNITS).where(_UNITS.c.uuid == uuid))
            connection.execute(_REMOVED.insert().values(uuid=uuid, revision=revision))

    def add_unit_token(self, uuid: str, secret: str, grace: Micros = 0) -> None:
        with self._call() as connection:
            bump(connection, NOBODY)
            _existing(connection, uuid)
            end, own = now() + grace, _TOKENS.c.unit == uuid
            connection.execute(delete(_TOKENS).where(own, _TOKENS.c.expires <= now()))
            newest = own & _TOKENS.c.expires.is_(None)
            if grace:
                ended = connection.execute(update(_TOKENS).where(newest).values(expires=end))
            else:  # what is revoked at once takes earlier ones with it
                ended = connection.execute(delete(_TOKENS).where(own))
            if ended.rowcount:
                bump(connection, [unit_label(uuid)])
            row = {"digest": digest(secret), "unit": uuid, "expires": None}
            connection.execute(_TOKENS.insert().values(row))

    def unit_changes(self, since: int, most: int = 10_000) -> UnitChanges:
        newer = UNIT.where(_UNITS.c.revision > since).order_by(_UNITS.c.revision)
        gone = select(_REMOVED).where(_REMOVED.c.revision > since).order_by(_REMOVED.c.revision)
        with self._read() as connection:
            removed = connection.execute(gone).all()
            changed = [unit_of(row) for row in connection.execute(newer.limit(most + 1))]
            # the changes of one call have one revision: whole calls, or more than `most`
            if len(changed) > most and changed[0].revision < (last := changed[-1].revision):
                changed = [unit for unit in changed if unit.revision < last]
            elif len(changed) > most:
                of_first = UNIT.where(_UNITS.c.revision == changed[0].revision)
                changed = [unit_of(row) for row in connection.execute(of_first)]
        reached = max([since, *(unit.revision for unit in changed)])
        if len(changed) <= most:
            reached = max([reached, *(row.revision for row in removed)])
        return UnitChanges(reached, changed, [row.uuid for row in removed])

    # --- what units tell --------------------------------------------------------------------------

    def put_unit_statuses(self, statuses: Sequence[UnitStatus]) -> None:
        if not statuses:
            return
        with self._call() as connection:
            sqlite = connection.dialect.name == "sqlite"
            newer = func.max if sqlite else func.greatest
            upsert = insert(connection.dialect.name, _STATUSES)
            there, new = _STATUSES.c, upsert.excluded

            def latest(name: str) -> Any:
                return newer(
                    func.coalesce(there[name], new[name]), func.coalesce(new[name], there[name])
                )

            fresh = new.state_at >= func.coalesce(there.state_at, new.state_at)
            state = case((fresh, new.state), else_=there.state)
            connection.execute(
                upsert.on_conflict_do_update(
                    index_elements=["unit"],
                    set_={
                        "seen": latest("seen"),
                        "state": state,
                        "state_at": latest("state_at"),
                        "log_at": latest("log_at"),
                    },
                ),
                [{name: getattr(one, name) for name in UnitStatus.__slots__} for one in statuses],
            )

    def unit_statuses(self, uuids: Sequence[str]) -> dict[str, UnitStatus]:
        query = select(*(_STATUSES.c[name] for name in UnitStatus.__slots__))
        with self._read() as connection:
            return {
                row.unit: UnitStatus(*row)
                for some in slices(uuids)
                for row in connection.execute(query.where(_STATUSES.c.unit.in_(some)))
            }

    def add_unit_logs(self, entries: Sequence[tuple[int, int, int, UnitLog]]) -> None:
        rows = [
            {
                "partition": partition, "offset": offset, "place": place, "unit": entry.unit,
                "time": entry.time, "level": entry.level, "text": entry.text,
            }
            for partition, offset, place, entry in entries
        ]  # fmt: skip
        if rows:
            with self._call() as connection:
                made = insert(connection.dialect.name, _LOGS).on_conflict_do_nothing()
                connection.execute(made, rows)

    def unit_logs(
        self, unit: str, start: Micros | None, end: Micros | None, limit: int
    ) -> list[UnitLog]:
        query = select(*(_LOGS.c[name] for name in UnitLog.__slots__)).where(_LOGS.c.unit == unit)
        if start is not None:
            query = query.where(_LOGS.c.time >= start)
        if end is not None:
            query = query.where(_LOGS.c.time < end)
        order = (_LOGS.c.time.desc(), _LOGS.c.offset.desc(), _LOGS.c.place.desc())
        with self._read() as connection:
            return [
                UnitLog(*row) for row in connection.execute(query.order_by(*order).limit(limit))
            ]

    def expire_unit_logs(self, before: Micros) -> int:
        with self._call() as connection:
            return connection.execute(delete(_LOGS).where(_LOGS.c.time < before)).rowcount


def unit_of(row: Row[Any]) -> Unit:
    """Read a row that begins with the columns of `UNIT`."""
    values = dict(zip(Unit.__slots__, row, strict=False))
    for name in ("publish", "read", "tags"):
        values[name] = _texts(values[name])
    values |= {
        "limits": json.loads(values["limits"]) if values["limits"] != "{}" else {},
        "visibility": Visibility(values["visibility"]),
    }
    return Unit(**values)


@lru_cache(4096)
def _texts(text: str) -> tuple[str, ...]:
    """Read a JSON list. Cached: the units of a fleet have the same few lists."""
    return tuple(json.loads(text))


def _current(connection: Connection, units: Sequence[Unit]) -> dict[tuple[str, str], Unit]:
    """The units that are there, by owner and name."""
    names: dict[str, list[str]] = {}
    for unit in units:
        names.setdefault(unit.owner, []).append(unit.name)
    return {
        (owner, found.name): found
        for owner, all_names in names.items()
        for some in slices(all_names)
        for row in connection.execute(UNIT.where(_UNITS.c.owner == owner, _UNITS.c.name.in_(some)))
        if (found := unit_of(row))
    }


def _next(wanted: Unit, before: Unit | None, revision: int, moment: Micros) -> Unit:
    """What is to be written: as wanted, or what is there where nothing would change."""
    if before is None:
        uuid = wanted.uuid or str(uuids.uuid4())
        made = replace(wanted, uuid=uuid, created=moment)
    else:
        made = replace(wanted, uuid=before.uuid, created=before.created, blocked=before.blocked)
        same = replace(made, updated=before.updated, revision=before.revision)
        if same == before:
            return before
    return replace(made, updated=moment, revision=revision)


def _write(connection: Connection, units: Sequence[Unit]) -> None:
    upsert = insert(connection.dialect.name, _UNITS)
    connection.execute(
        upsert.on_conflict_do_update(
            index_elements=["uuid"], set_={name: upsert.excluded[name] for name in _WRITTEN}
        ),
        [
            {
                "uuid": unit.uuid, "owner": unit.owner, "name": unit.name,
                "publish": json.dumps(unit.publish), "read": json.dumps(unit.read),
                "tags": json.dumps(unit.tags), "visibility": unit.visibility.value,
                "limits": json.dumps(dict(unit.limits), allow_nan=False),
                "blocked": unit.blocked, "created": unit.created, "updated": unit.updated,
                "revision": unit.revision,
            }
            for unit in units
        ],
    )  # fmt: skip


def _existing(connection: Connection, uuid: str) -> Unit:
    row = connection.execute(UNIT.where(_UNITS.c.uuid == uuid)).one_or_none()
    if row is None:
        raise NotFound(f"there is no unit {uuid!r}")
    return unit_of(row)
