"""Looks up who has a secret: a unit, a token, or a user with a session."""

from sqlalchemy import Connection, select

from lakebed.ports.accounts.credentials import Subject, TokenSubject, UnitSubject, UserSubject
from lakebed.ports.accounts.owners import Member
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import VERSION
from lakebed.stores.catalog.tokens import find_token
from lakebed.stores.catalog.units import UNIT, unit_of
from lakebed.stores.catalog.users import find_session, find_user
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import now

_OWNERS, _MEMBERS, _TOKENS = tables.owners, tables.members, tables.unit_tokens
_UNIT = (
    UNIT.add_columns(_TOKENS.c.expires, _OWNERS.c.blocked.label("suspended"))
    .join(_TOKENS, _TOKENS.c.unit == tables.units.c.uuid)
    .join(_OWNERS, _OWNERS.c.name == tables.units.c.owner)
)
_MEMBERSHIPS = (
    select(_MEMBERS.c.owner, _MEMBERS.c.user, _MEMBERS.c.role)
    .join(_OWNERS, _OWNERS.c.name == _MEMBERS.c.owner)
    .where(~_OWNERS.c.blocked)
    .order_by(_MEMBERS.c.owner)
)


class SqlCredentials(Database):
    """Implements `ports.accounts.CredentialStore`."""

    def grants_version(self) -> int:
        with self._read() as connection:
            return int(connection.execute(VERSION).scalar_one())

    def find_subject(self, secret: str) -> Subject | None:
        key = digest(secret)
        with self._call() as connection:
            return (
                _of_unit(connection, key)
                or _of_token(connection, key)
                or _of_session(connection, key)
            )


def _of_unit(connection: Connection, key: bytes) -> UnitSubject | None:
    row = connection.execute(_UNIT.where(_TOKENS.c.digest == key)).one_or_none()
    if row is None or (row.expires is not None and row.expires <= now()):
        return None
    unit = unit_of(row)
    return UnitSubject(unit, unit.blocked or row.suspended, row.expires)


def _of_token(connection: Connection, key: bytes) -> TokenSubject | None:
    token: StoredToken | None = find_token(connection, key)
    if token is None or (token.expires is not None and token.expires <= now()):
        return None
    owner = select(_OWNERS.c.blocked).where(_OWNERS.c.name == token.owner)
    blocked = bool(connection.execute(owner).scalar_one_or_none())
    if not token.maker:
        return TokenSubject(token, blocked=blocked)
    maker = find_user(connection, token.maker)
    if maker is None:
        return None
    return TokenSubject(token, maker, _memberships(connection, token.maker), blocked)


def _of_session(connection: Connection, key: bytes) -> UserSubject | None:
    session = find_session(connection, key)
    user = None if session is None else find_user(connection, session.user)
    if session is None or user is None:
        return None
    return UserSubject(user, _memberships(connection, user.name), session.id, session.expires)


def _memberships(connection: Connection, user: str) -> tuple[Member, ...]:
    rows = connection.execute(_MEMBERSHIPS.where(_MEMBERS.c.user == user))
    return tuple(Member(row.owner, row.user, Role(row.role)) for row in rows)
