"""The version of the grants: grows with every change of what anybody may do."""

from sqlalchemy import Connection, func, select, update

from lakebed.ports.accounts.credentials import Grants
from lakebed.stores.catalog.tables import revisions
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import now

_NAME = revisions.c.name == "grants"
VERSION = select(revisions.c.value).where(_NAME)
_ADDED_SINCE, _ADDED_UPTO = "grants added since", "grants added up to"
_ALL = select(revisions.c.name, revisions.c.value).where(
    revisions.c.name.in_(("grants", _ADDED_SINCE, _ADDED_UPTO))
)


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


def bump_added(connection: Connection) -> int:
    """As `bump`, for a change that only adds credentials or units: nobody else may more or less.

    Written down is from which version up to which there were only such changes. A change by `bump`
    makes another version than the last one of these, whoever makes it.
    """
    before = int(connection.execute(VERSION.with_for_update()).scalar_one())
    version = bump(connection)
    known = {row.name: row.value for row in connection.execute(_ALL)}
    since = known[_ADDED_SINCE] if known.get(_ADDED_UPTO) == before else before
    statement = insert(connection.dialect.name, revisions)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"], set_={"value": statement.excluded.value}
        ),
        [{"name": _ADDED_SINCE, "value": since}, {"name": _ADDED_UPTO, "value": version}],
    )
    return version


def grants(connection: Connection) -> Grants:
    known = {row.name: row.value for row in connection.execute(_ALL)}
    version = known["grants"]
    only_added = known.get(_ADDED_UPTO) == version
    return Grants(version, known[_ADDED_SINCE] if only_added else version)
