"""Which units are connected."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.slices import slices
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import Micros, now

_LEASES, _PRESENCE = tables.presence_leases, tables.unit_presence


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
                made = insert(connection.dialect.name, _PRESENCE).on_conflict_do_nothing()
                connection.execute(made, [{"unit": one, "process": process} for one in online])
            ended = select(_LEASES.c.process).where(_LEASES.c.until <= now())
            if left := connection.execute(ended).scalars().all():
                connection.execute(delete(_PRESENCE).where(_PRESENCE.c.process.in_(left)))
                connection.execute(delete(_LEASES).where(_LEASES.c.process.in_(left)))

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
