"""The version of the grants: grows with every change of what anybody may do.

    bump(unit:A) ──> grant_changes: version 8, after 7, concerned [unit:A]
    bump()       ──> grant_changes: version 9, after 8, concerned NULL: anybody
    a share, a block of an owner ──> its members, units and tokens, and the audiences of its shares
    grants(since 7) ──> from 9 back to 7: what all of them concern

A reader follows the changes from the version back to the one that it has. Where that chain is
broken (changes are kept for minutes, an earlier Lakebed writes none) any grant may have changed.
"""

import json
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, func, select, update

from lakebed.ports.accounts.credentials import SHARES, Grants, owner_label, user_label
from lakebed.ports.accounts.shares import INSTANCE, PUBLIC
from lakebed.stores.catalog.account_tables import grant_changes, members, shares
from lakebed.stores.catalog.tables import revisions
from lakebed.vocabulary.times import SECOND, now

_NAME = revisions.c.name == "grants"
VERSION = select(revisions.c.value).where(_NAME)

NOBODY: Collection[str] = ()
"""Concerned by a change that only adds credentials, units or users, or changes no permission."""

_KEPT = 600 * SECOND  # changes of the latest versions, which are times
_MOST = 2000  # changes that one reader follows
_MOST_CONCERNED = 200  # subjects of one change; more count as anybody


def lock(connection: Connection) -> None:
    """Make others that change grants wait until the end of this transaction.

    What `bump` is to be told is read behind it.
    """
    connection.execute(VERSION.with_for_update()).scalar_one()


def of_audiences(audiences: Iterable[str]) -> set[str] | None:
    """The labels of a change of what is shared with these; None for anybody."""
    found = {SHARES}.union(audiences)
    return None if found & {PUBLIC, INSTANCE} else found


def concerned_of(connection: Connection, owner: str) -> set[str] | None:
    """The labels of a change of all that an owner has. Call with the lock held."""
    of_members = select(members.c.user).where(members.c.owner == owner)
    users = connection.execute(of_members).scalars().all()
    found = {owner_label(owner), *map(user_label, users)}
    shared = select(shares.c.audience).where(shares.c.owner == owner)
    audiences = [json.loads(text) for text in connection.execute(shared).scalars()]
    others = of_audiences(one for some in audiences for one in some) if audiences else set[str]()
    return None if others is None else found | others


def bump(connection: Connection, concerned: Collection[str] | None = None) -> int:
    """Raise the version of the grants, to the current time at least, and return it.

    A catalog may lose its last changes, as by a failover to a replica that is behind. With times
    it never reuses a version that a process has cached. Who has raised it first makes others that
    change grants wait until the end of its transaction.

    Args:
        concerned: labels of all subjects who may more or less from now on; None for anybody.
    """
    before = int(connection.execute(VERSION.with_for_update()).scalar_one())
    value = revisions.c.value
    newer = func.max if connection.dialect.name == "sqlite" else func.greatest
    raised = update(revisions).where(_NAME).values(value=newer(value + 1, now()))
    version = int(connection.execute(raised.returning(value)).scalar_one())
    if concerned is not None and len(concerned) > _MOST_CONCERNED:
        concerned = None
    text = None if concerned is None else json.dumps(sorted(concerned))
    connection.execute(grant_changes.insert().values(version=version, after=before, concerned=text))
    connection.execute(delete(grant_changes).where(grant_changes.c.version < version - _KEPT))
    return version


def grants(connection: Connection, since: int | None) -> Grants:
    version = int(connection.execute(VERSION).scalar_one())
    if since is None or version <= since:
        return Grants(version, frozenset() if version == since else None)
    newer = select(grant_changes).where(
        grant_changes.c.version > since, grant_changes.c.version <= version
    )
    reached, found = version, set[str]()
    for row in connection.execute(newer.order_by(grant_changes.c.version.desc()).limit(_MOST)):
        if row.version != reached or row.concerned is None:
            return Grants(version, None)
        found.update(json.loads(row.concerned))
        reached = row.after
    return Grants(version, frozenset(found) if reached == since else None)
