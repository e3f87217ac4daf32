"""Looks up who has a secret or a certificate: a unit, a token, or a user with a session.

    credentials ──> units ──> tokens ──> sessions      each asks for those that are still unknown

A fleet that connects asks for thousands: each step is one query for hundreds of them.
"""

from collections.abc import Sequence
from typing import TypeAlias

from sqlalchemy import Connection, select, tuple_

from lakebed.ports.accounts.credentials import (
    CommonName,
    Credential,
    Grants,
    Subject,
    TokenSubject,
    UnitSubject,
    UserSubject,
)
from lakebed.ports.accounts.owners import Member
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import VERSION, grants
from lakebed.stores.catalog.slices import slices
from lakebed.stores.catalog.tokens import find_tokens
from lakebed.stores.catalog.units import UNIT, unit_of
from lakebed.stores.catalog.users import find_session, find_user
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

_OWNERS, _MEMBERS, _TOKENS, _UNITS = (
    tables.owners, tables.members, tables.unit_tokens, tables.units,
)  # fmt: skip
_SUSPENDED = _OWNERS.c.blocked.label("suspended")
_NAMED = UNIT.add_columns(_SUSPENDED).join(_OWNERS, _OWNERS.c.name == _UNITS.c.owner)
_UNIT = (
    UNIT.add_columns(_SUSPENDED, _TOKENS.c.expires, _TOKENS.c.digest)
    .join(_TOKENS, _TOKENS.c.unit == _UNITS.c.uuid)
    .join(_OWNERS, _OWNERS.c.name == _UNITS.c.owner)
)
_MEMBERSHIPS = (
    select(_MEMBERS.c.owner, _MEMBERS.c.user, _MEMBERS.c.role)
    .join(_OWNERS, _OWNERS.c.name == _MEMBERS.c.owner)
    .where(~_OWNERS.c.blocked)
    .order_by(_MEMBERS.c.owner)
)

Found: TypeAlias = dict[bytes, Subject | None]
"""By digest; None for one that has expired, or whose maker is gone."""


class SqlCredentials(Database):
    """Fulfils `ports.accounts.CredentialStore`."""

    def grants_version(self) -> int:
        with self._read() as connection:
            return int(connection.execute(VERSION).scalar_one())

    def grants(self, since: int | None = None) -> Grants:
        with self._read() as connection:
            return grants(connection, since)

    def find_subject(self, secret: str) -> Subject | None:
        """Who has one secret."""
        return self.find_subjects([secret])[0]

    def find_subjects(self, credentials: Sequence[Credential]) -> list[Subject | None]:
        names = {one.text: one.text for one in credentials if isinstance(one, CommonName)}
        keys = {one: digest(one) for one in credentials if isinstance(one, str)}
        by_name: dict[str, UnitSubject] = {}
        found: Found = {}
        with self._read() as connection:
            for part in slices(list(names)):
                by_name |= _certified(connection, part)
            for step in (_of_units, _of_tokens, _of_sessions):
                unknown = [key for key in keys.values() if key not in found]
                for some in slices(unknown):
                    found |= step(connection, some)
        return [
            found.get(keys[one]) if isinstance(one, str) else by_name.get(one.text)
            for one in credentials
        ]


def _certified(connection: Connection, names: Sequence[str]) -> dict[str, UnitSubject]:
    """Units by their common names."""
    pairs = [(owner, name) for owner, slash, name in (n.partition("/") for n in names) if slash]
    uuids = [name.lower() for name in names if "/" not in name]
    chosen = _UNITS.c.uuid.in_(uuids) | tuple_(_UNITS.c.owner, _UNITS.c.name).in_(pairs)
    found: dict[str, UnitSubject] = {}
    for row in connection.execute(_NAMED.where(chosen)):
        unit = unit_of(row)
        subject = UnitSubject(unit, unit.blocked or row.suspended)
        found[unit.uuid] = found[f"{unit.owner}/{unit.name}"] = subject
    return {
        name: found[key]
        for name in names
        if (key := name if "/" in name else name.lower()) in found
    }


def _of_units(connection: Connection, keys: Sequence[bytes]) -> Found:
    found: Found = {}
    for row in connection.execute(_UNIT.where(_TOKENS.c.digest.in_(keys))):
        expired = row.expires is not None and row.expires <= now()
        unit = unit_of(row)
        subject = UnitSubject(unit, unit.blocked or row.suspended, row.expires)
        found[row.digest] = None if expired else subject
    return found


def _of_tokens(connection: Connection, keys: Sequence[bytes]) -> Found:
    tokens = find_tokens(connection, keys)
    names = {token.owner for token in tokens.values()}
    blocked = _OWNERS.c.blocked & _OWNERS.c.name.in_(names)
    suspended = set(connection.execute(select(_OWNERS.c.name).where(blocked)).scalars())
    found: Found = {}
    for key, token in tokens.items():
        if token.expires is not None and token.expires <= now():
            found[key] = None
        elif not token.maker:
            found[key] = TokenSubject(token, blocked=token.owner in suspended)
        else:
            maker = find_user(connection, token.maker)
            members = _memberships(connection, token.maker)
            subject = TokenSubject(token, maker, members, token.owner in suspended)
            found[key] = None if maker is None else subject
    return found


def _of_sessions(connection: Connection, keys: Sequence[bytes]) -> Found:
    known = select(tables.sessions.c.digest).where(tables.sessions.c.digest.in_(keys))
    found: Found = {}
    for key in connection.execute(known).scalars().all():
        session = find_session(connection, key)
        user = None if session is None else find_user(connection, session.user)
        if session is not None and user is not None:
            members = _memberships(connection, user.name)
            found[key] = UserSubject(user, members, session.id, session.expires)
    return found


def _memberships(connection: Connection, user: str) -> tuple[Member, ...]:
    rows = connection.execute(_MEMBERSHIPS.where(_MEMBERS.c.user == user))
    return tuple(Member(row.owner, row.user, Role(row.role)) for row in rows)
