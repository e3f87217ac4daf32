"""Reports that gateways leave for each other: a row for each process and kind."""

from collections.abc import Callable, Collection, Sequence

from sqlalchemy import Connection, delete, select, text

from lakebed.ports.catalog.gateways import GatewayReport
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert

_TABLE = tables.gateway_reports
_FIELDS = GatewayReport.__slots__
_ALL = select(*(_TABLE.c[name] for name in _FIELDS)).order_by(_TABLE.c.process, _TABLE.c.kind)


class SqlGatewayReports(Database):
    """Fulfils `ports.catalog.gateways.GatewayReports`."""

    def exchange_report(
        self, kind: str, make: Callable[[Sequence[GatewayReport]], GatewayReport]
    ) -> None:
        with self._call() as connection:
            if connection.dialect.name == "postgresql":  # SQLite has one process, and one writer
                lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:kind, 0))")
                connection.execute(lock, {"kind": f"lakebed gateway_reports {kind}"})
            _put(connection, [make(_read(connection, [kind]))])

    def put_reports(self, reports: Sequence[GatewayReport]) -> None:
        with self._call() as connection:
            _put(connection, reports)

    def gateway_reports(self, kinds: Collection[str]) -> list[GatewayReport]:
        with self._read() as connection:
            return _read(connection, kinds)

    def remove_reports(self, processes: Collection[str]) -> None:
        with self._call() as connection:
            connection.execute(delete(_TABLE).where(_TABLE.c.process.in_(processes)))


def _read(connection: Connection, kinds: Collection[str]) -> list[GatewayReport]:
    found = connection.execute(_ALL.where(_TABLE.c.kind.in_(kinds)))
    return [
        GatewayReport(process, kind, beat, written, bytes(state), format)
        for process, kind, beat, written, state, format in found
    ]


def _put(connection: Connection, reports: Sequence[GatewayReport]) -> None:
    if not reports:
        return
    rows = [{name: getattr(report, name) for name in _FIELDS} for report in reports]
    statement = insert(connection.dialect.name, _TABLE)
    changed = {name: statement.excluded[name] for name in ("beat", "written", "state", "format")}
    connection.execute(
        statement.on_conflict_do_update(index_elements=_TABLE.primary_key, set_=changed), rows
    )
