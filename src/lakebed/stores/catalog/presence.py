"""Which units are connected, and when they were last seen.

A fleet that connects is thousands of rows every few seconds. They come as one JSON text and are
written by one statement: the driver of SQLite takes the interpreter's lock anew for each row of
many, while the event loop waits.
"""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, select, text

from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.slices import slices
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import Micros, now

_LEASES, _PRESENCE = tables.presence_leases, tables.unit_presence

_CONNECTED = {
    "sqlite": text(
        "INSERT INTO unit_presence (unit, process) SELECT value, :process FROM json_each(:units)"
        " WHERE true ON CONFLICT DO NOTHING"
    ),
    "postgresql": text(
        "INSERT INTO unit_presence (unit, process)"
        " SELECT value, :process FROM json_array_elements_text(CAST(:units AS json))"
        " ON CONFLICT DO NOTHING"
    ),
}
_SEEN = {
    "sqlite": text(
        "INSERT INTO unit_statuses (unit, seen) SELECT key, value FROM json_each(:seen)"
        " WHERE true ON CONFLICT (unit) DO UPDATE"
        " SET seen = max(coalesce(unit_statuses.seen, excluded.seen), excluded.seen)"
    ),
    "postgresql": text(
        "INSERT INTO unit_statuses (unit, seen)"
        " SELECT key, CAST(value AS bigint) FROM json_each_text(CAST(:seen AS json))"
        " ON CONFLICT (unit) DO UPDATE SET seen = greatest(unit_statuses.seen, excluded.seen)"
    ),
}


class SqlPresence(Database):
    """Fulfils `ports.accounts.PresenceStore`."""

    def renew_presence(
        self, process: str, until: Micros, online: Sequence[str], offline: Sequence[str]
    ) -> None:
        with self._call() as connection:
            upsert = insert(connection.dialect.name, _LEASES)
            connection.execute(
                upsert.on_conflict_do_update(
                    index_elements=["process"], set_={"until": upsert.excluded.until}
                ),
                {"process": process, "until": until},
            )
            for some in slices(offline):
                gone = (_PRESENCE.c.process == process) & _PRESENCE.c.unit.in_(some)
                connection.execute(delete(_PRESENCE).where(gone))
            if online:
                units = json.dumps(sorted(online))
                made = _CONNECTED[connection.dialect.name]
                connection.execute(made, {"units": units, "process": process})
            ended = select(_LEASES.c.process).where(_LEASES.c.until <= now())
            if left := connection.execute(ended).scalars().all():
                connection.execute(delete(_PRESENCE).where(_PRESENCE.c.process.in_(left)))
                connection.execute(delete(_LEASES).where(_LEASES.c.process.in_(left)))

    def touch_units(self, seen: Mapping[str, Micros]) -> None:
        if seen:
            with self._call() as connection:
                rows = json.dumps(seen, sort_keys=True)  # two writers cannot deadlock
                connection.execute(_SEEN[connection.dialect.name], {"seen": rows})

    def online_units(self, uuids: Sequence[str]) -> set[str]:
        query = (
            select(_PRESENCE.c.unit)
            .join(_LEASES, _LEASES.c.process == _PRESENCE.c.process)
            .where(_LEASES.c.until > now())
        )
        with self._read() as connection:
            return {
                uuid
                for some in slices(uuids)
                for uuid in connection.execute(query.where(_PRESENCE.c.unit.in_(some))).scalars()
            }
