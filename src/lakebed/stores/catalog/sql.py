"""The catalog on SQLite or PostgreSQL: the same code, the same SQL.

SqlCatalog ── SqlPolicies, SqlJournal (with SqlCheckpoints), SqlLastValues, SqlDeadLetters,
                 │        SqlErasures, SqlParkedOrders, SqlFillOrders, SqlContent, SqlNotes,
                 │        SqlLedger, SqlGatewayReports, SqlBackfills, SqlOwners, SqlUsers, SqlUnits,
                 │        SqlPresence, SqlShares, SqlTokens, SqlCredentials, SqlAttempts,
                 │        SqlFactors, SqlTickets, SqlAudit, SqlOpenId, SqlSecrets, SqlRelays
                 └── Database (a call is a transaction, errors translated)
                        └── Engine (engine.py: the settings of each database)
"""

import os
import sqlite3
from pathlib import Path

from sqlalchemy import text

from lakebed.ports.health import Health
from lakebed.ports.metrics import GaugeMetric
from lakebed.stores.catalog.attempts import SqlAttempts
from lakebed.stores.catalog.audit import SqlAudit
from lakebed.stores.catalog.backfills import SqlBackfills
from lakebed.stores.catalog.boards import SqlBoards
from lakebed.stores.catalog.content import SqlContent
from lakebed.stores.catalog.credentials import SqlCredentials
from lakebed.stores.catalog.database import translated
from lakebed.stores.catalog.dead_letters import SqlDeadLetters
from lakebed.stores.catalog.engine import engine_for, hold
from lakebed.stores.catalog.erasures import SqlErasures
from lakebed.stores.catalog.factors import SqlFactors
from lakebed.stores.catalog.fills import SqlFillOrders
from lakebed.stores.catalog.gateways import SqlGatewayReports
from lakebed.stores.catalog.journal import SqlJournal
from lakebed.stores.catalog.last_values import SqlLastValues
from lakebed.stores.catalog.ledger import SqlLedger
from lakebed.stores.catalog.migrate import migrate
from lakebed.stores.catalog.notes import SqlNotes
from lakebed.stores.catalog.openid import SqlOpenId
from lakebed.stores.catalog.owners import SqlOwners
from lakebed.stores.catalog.parking import SqlParkedOrders
from lakebed.stores.catalog.policies import SqlPolicies
from lakebed.stores.catalog.presence import SqlPresence
from lakebed.stores.catalog.refusals import SqlRefusals
from lakebed.stores.catalog.relays import SqlRelays
from lakebed.stores.catalog.secrets import SqlSecrets
from lakebed.stores.catalog.shares import SqlShares
from lakebed.stores.catalog.tickets import SqlTickets
from lakebed.stores.catalog.tokens import SqlTokens
from lakebed.stores.catalog.units import SqlUnits
from lakebed.stores.catalog.users import SqlUsers
from lakebed.vocabulary.errors import StoreUnavailable, Unsupported

SIZE = GaugeMetric("lakebed_catalog_size_bytes", "Bytes of the catalog's database.")

_BYTES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}
_FSYNC = {
    "sqlite": "SELECT CASE synchronous WHEN 2 THEN 'FULL' WHEN 3 THEN 'EXTRA' ELSE 'NORMAL or OFF'"
    " END FROM pragma_synchronous",
    "postgresql": "SELECT CASE WHEN current_setting('fsync') = 'off' THEN 'off'"
    " WHEN current_setting('synchronous_commit') = 'off' THEN 'synchronous_commit off'"
    " ELSE 'on' END",
}


class SqlCatalog(
    SqlPolicies,
    SqlJournal,
    SqlLastValues,
    SqlDeadLetters,
    SqlErasures,
    SqlParkedOrders,
    SqlFillOrders,
    SqlContent,
    SqlNotes,
    SqlRefusals,
    SqlLedger,
    SqlGatewayReports,
    SqlBackfills,
    SqlOwners,
    SqlUsers,
    SqlUnits,
    SqlPresence,
    SqlShares,
    SqlBoards,
    SqlSecrets,
    SqlRelays,
    SqlTokens,
    SqlCredentials,
    SqlAttempts,
    SqlFactors,
    SqlTickets,
    SqlAudit,
    SqlOpenId,
):
    """Implements `ports.catalog.catalog.Catalog` and `ports.accounts.accounts.Accounts`.

    Safe for any number of threads.
    """

    def health(self) -> Health:
        try:
            with self._call() as connection:
                size = connection.execute(text(_BYTES[connection.dialect.name])).scalar_one()
                fsync = connection.execute(text(_FSYNC[connection.dialect.name])).scalar_one()
        except StoreUnavailable as error:
            return Health(False, str(error))
        return Health(True, "", {"bytes": size, "fsync": fsync}, (SIZE(size),))

    def copy(self, path: Path) -> None:
        if self._engine.dialect.name != "sqlite":
            raise Unsupported("the catalog is in PostgreSQL: back it up with pg_dump")
        if self._joined() is not None:
            raise RuntimeError("a copy cannot be made inside a transaction")
        with translated():
            connection = self._engine.raw_connection()
            try:
                # one read transaction; the driver opens no other around it
                connection.cursor().execute("VACUUM INTO ?", (str(path),))
            except sqlite3.Error as error:
                raise StoreUnavailable(f"catalog: cannot copy it to {path}: {error}") from error
            finally:
                connection.close()


def open_catalog(url: str, home: Path) -> SqlCatalog:
    """Connect, and bring the schema up to date.

    Args:
        url: `sqlite:PATH`, relative to `home`, or `postgresql://USER:PASSWORD@HOST/NAME`.
        home: the home directory.

    Raises:
        SettingsError: the URL is wrong, or a newer Lakebed wrote this catalog.
        StoreUnavailable: the database does not answer, or another process has locked the file.
    """
    engine = engine_for(url, home)
    held = hold(engine)
    try:
        with translated():
            migrate(engine)
    except BaseException:
        engine.dispose()
        if held is not None:
            os.close(held)
        raise
    return SqlCatalog(engine, held)
