"""The version of the grants: grows with every change of what anybody may do."""

from sqlalchemy import Connection, func, select, update

from lakebed.stores.catalog.tables import revisions
from lakebed.vocabulary.times import now

_NAME = revisions.c.name == "grants"
VERSION = select(revisions.c.value).where(_NAME)


def bump(connection: Connection) -> int:
    """Raise the version of the grants, to the current time at least, and return it.

    A catalog may lose its last changes, as by a failover to a replica that is behind. With times
    it never reuses a version that a process has cached. Who has raised it first makes others that
    change grants wait until the end of its transaction.
    """
    value = revisions.c.value
    newer = func.max if connection.dialect.name == "sqlite" else func.greatest
    raised = update(revisions).where(_NAME).values(value=newer(value + 1, now()))
    return int(connection.execute(raised.returning(value)).scalar_one())
