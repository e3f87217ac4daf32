"""Owners and their members."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, delete, func, literal, select, update

from lakebed.ports.accounts.credentials import user_label
from lakebed.ports.accounts.owners import Member, Owner
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import NOBODY, bump, concerned_of, lock
from lakebed.stores.catalog.tables import (
    backfills,
    outbox_blocks,
    outbox_followers,
    outbox_streams,
)
from lakebed.stores.catalog.tickets import delete_tickets
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

_OWNERS, _MEMBERS = tables.owners, tables.members
_OF_RELAYS = (outbox_followers, outbox_streams, outbox_blocks, backfills)
_COLUMNS = (
    _OWNERS.c.name, _OWNERS.c.title, _OWNERS.c.limits, _OWNERS.c.blocked, _OWNERS.c.created,
    _OWNERS.c.report_topics,
)  # fmt: skip
_THERE = select(*_COLUMNS).where(_OWNERS.c.deleted.is_(None))


class SqlOwners(Database):
    """Implements `ports.accounts.OwnerStore`."""

    def owners(self) -> list[Owner]:
        with self._read() as connection:
            return [_owner(row) for row in connection.execute(_THERE.order_by(_OWNERS.c.name))]

    def owner(self, name: str) -> Owner | None:
        with self._read() as connection:
            row = connection.execute(_THERE.where(_OWNERS.c.name == name)).one_or_none()
        return None if row is None else _owner(row)

    def add_owner(self, owner: Owner, manager: str | None = None) -> Owner:
        with self._call() as connection:
            bump(connection, NOBODY if manager is None else [user_label(manager)])
            added = make_owner(connection, owner)
            if not added:
                raise Conflict(f"there is or was an owner named {owner.name!r}: choose another")
            if manager is not None:
                check_user(connection, manager)
                row = {"owner": owner.name, "user": manager, "role": Role.MANAGER}
                connection.execute(_MEMBERS.insert().values(row))
        found = self.owner(owner.name)
        assert found is not None
        return found

    def ensure_owner(self, name: str) -> None:
        with self._call() as connection:
            ensure(connection, name)

    def change_owner(
        self,
        name: str,
        *,
        title: str | None = None,
        limits: Mapping[str, Any] | None = None,
        blocked: bool | None = None,
        report_topics: Mapping[str, Sequence[str]] | None = None,
    ) -> Owner:
        given = {
            "title": title,
            "limits": None if limits is None else json.dumps(limits, allow_nan=False),
            "blocked": blocked,
        }
        changes = {column: value for column, value in given.items() if value is not None}
        with self._call() as connection:
            lock(connection)
            bump(connection, NOBODY if blocked is None else concerned_of(connection, name))
            if report_topics is not None:
                row = connection.execute(_THERE.where(_OWNERS.c.name == name)).one_or_none()
                there = {} if row is None else json.loads(row.report_topics)
                merged = {
                    kind: texts for kind, texts in (there | dict(report_topics)).items() if texts
                }
                changes["report_topics"] = json.dumps(merged)
            if changes:
                connection.execute(update(_OWNERS).where(_OWNERS.c.name == name).values(changes))
            row = connection.execute(_THERE.where(_OWNERS.c.name == name)).one_or_none()
            if row is None:
                raise NotFound(f"there is no owner {name!r}")
            return _owner(row)

    def delete_owner(self, name: str) -> None:
        with self._call() as connection:
            lock(connection)
            revision = bump(connection, concerned_of(connection, name))
            there = (_OWNERS.c.name == name) & _OWNERS.c.deleted.is_(None)
            gone = (
                update(_OWNERS)
                .where(there)
                .values(deleted=now(), title="", limits="{}", report_topics="{}")
            )
            if not connection.execute(gone).rowcount:
                raise NotFound(f"there is no owner {name!r}")
            units = tables.units
            of_owner = select(units.c.uuid).where(units.c.owner == name)
            removed = of_owner.add_columns(literal(revision, BigInteger))
            connection.execute(
                tables.units_removed.insert().from_select(["uuid", "revision"], removed)
            )
            for table in (
                tables.unit_tokens, tables.unit_statuses, tables.unit_logs, tables.unit_presence,
            ):  # fmt: skip
                connection.execute(delete(table).where(table.c.unit.in_(of_owner)))
            delete_tickets(connection, owner=name)
            for table in (
                _MEMBERS,
                tables.tokens,
                tables.units,
                tables.shares,
                tables.boards,
                tables.secrets,
                tables.relays,
                *_OF_RELAYS,
            ):
                connection.execute(delete(table).where(table.c.owner == name))

    def report_topics(self) -> dict[str, Mapping[str, Sequence[str]]]:
        some = _THERE.where(_OWNERS.c.report_topics != "{}")
        with self._read() as connection:
            return {row.name: json.loads(row.report_topics) for row in connection.execute(some)}

    # --- members ----------------------------------------------------------------------------------

    def members(self, owner: str | None = None, user: str | None = None) -> list[Member]:
        with self._read() as connection:
            return members_of(connection, owner, user)

    def put_member(self, member: Member) -> bool:
        with self._call() as connection:
            bump(connection, [user_label(member.user)])
            _check_owner(connection, member.owner)
            check_user(connection, member.user)
            before = members_of(connection, member.owner, member.user)
            upsert = insert(connection.dialect.name, _MEMBERS)
            connection.execute(
                upsert.on_conflict_do_update(
                    index_elements=["owner", "user"], set_={"role": upsert.excluded.role}
                ),
                {"owner": member.owner, "user": member.user, "role": int(member.role)},
            )
            if before:
                check_managed(connection, member.owner)
            return not before

    def remove_member(self, owner: str, user: str) -> None:
        with self._call() as connection:
            bump(connection, [user_label(user)])
            one = (_MEMBERS.c.owner == owner) & (_MEMBERS.c.user == user)
            if not connection.execute(delete(_MEMBERS).where(one)).rowcount:
                raise NotFound(f"{user!r} is no member of {owner!r}")
            check_managed(connection, owner)


def make_owner(connection: Connection, owner: Owner) -> bool:
    """Insert an owner, unless there is or was one of its name."""
    row = {
        "name": owner.name,
        "title": owner.title,
        "limits": json.dumps(dict(owner.limits), allow_nan=False),
        "blocked": owner.blocked,
        "created": now(),
    }
    made = insert(connection.dialect.name, _OWNERS).values(row).on_conflict_do_nothing()
    return connection.execute(made.returning(_OWNERS.c.name)).one_or_none() is not None


def ensure(connection: Connection, name: str) -> None:
    """Make an owner if there is none.

    Raises:
        Conflict: it was deleted.
    """
    one = select(_OWNERS.c.deleted).where(_OWNERS.c.name == name)
    found = connection.execute(one).one_or_none()
    if found is None:
        make_owner(connection, Owner(name))
    elif found.deleted is not None:
        raise Conflict(f"the owner {name!r} was deleted, and its name is not used again")


def members_of(
    connection: Connection, owner: str | None = None, user: str | None = None
) -> list[Member]:
    query = select(_MEMBERS.c.owner, _MEMBERS.c.user, _MEMBERS.c.role)
    if owner is not None:
        query = query.where(_MEMBERS.c.owner == owner)
    if user is not None:
        query = query.where(_MEMBERS.c.user == user)
    rows = connection.execute(query.order_by(_MEMBERS.c.owner, _MEMBERS.c.user))
    return [Member(row.owner, row.user, Role(row.role)) for row in rows]


def check_managed(connection: Connection, owner: str) -> None:
    """Raises:
    Conflict: nobody is a manager of the owner.
    """
    managers = select(func.count()).where(
        _MEMBERS.c.owner == owner, _MEMBERS.c.role == int(Role.MANAGER)
    )
    if not connection.execute(managers).scalar_one():
        raise Conflict(f"{owner!r} would have no manager any more: make somebody else one first")


def check_user(connection: Connection, name: str) -> None:
    """Raises:
    NotFound: there is no such user.
    """
    there = select(tables.users.c.name).where(tables.users.c.name == name)
    if connection.execute(there).one_or_none() is None:
        raise NotFound(f"there is no user {name!r}")


def _check_owner(connection: Connection, name: str) -> None:
    if connection.execute(_THERE.where(_OWNERS.c.name == name)).one_or_none() is None:
        raise NotFound(f"there is no owner {name!r}")


def _owner(row: Any) -> Owner:
    values = row._asdict()
    parsed = {name: json.loads(values[name]) for name in ("limits", "report_topics")}
    return Owner(**values | parsed)
