"""Users and their sessions."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from lakebed.ports.accounts.credentials import user_label
from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.tickets import Purpose
from lakebed.ports.accounts.users import Session, User
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.factors import delete_factors
from lakebed.stores.catalog.grants import NOBODY, bump
from lakebed.stores.catalog.owners import check_managed, check_user, ensure, make_owner, members_of
from lakebed.stores.catalog.tickets import delete_tickets
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros, now

_USERS, _SESSIONS, _MEMBERS = tables.users, tables.sessions, tables.members
USER = select(
    _USERS.c.name, _USERS.c.title, _USERS.c.admin, _USERS.c.blocked, _USERS.c.created,
    _USERS.c.password.is_not(None), _USERS.c.second_factor,
)  # fmt: skip
_SESSION = select(*(_SESSIONS.c[name] for name in Session.__slots__))
_ADMINS = select(func.count()).where(_USERS.c.admin, ~_USERS.c.blocked)


class SqlUsers(Database):
    """Implements `ports.accounts.UserStore` and `SessionStore`."""

    def users(self) -> list[User]:
        with self._read() as connection:
            return [User(*row) for row in connection.execute(USER.order_by(_USERS.c.name))]

    def user(self, name: str) -> User | None:
        with self._read() as connection:
            return find_user(connection, name)

    def add_user(self, user: User, password: str | None = None, *, adopt: bool = False) -> User:
        row = {
            "name": user.name,
            "title": user.title,
            "admin": user.admin,
            "blocked": user.blocked,
            "password": password,
            "second_factor": False,
            "created": now(),
        }
        with self._call() as connection:
            bump(connection, NOBODY)
            if adopt:
                ensure(connection, user.name)
            elif not make_owner(connection, Owner(user.name, user.title)):
                raise Conflict(f"there is or was a user or an owner {user.name!r}: choose another")
            try:
                connection.execute(_USERS.insert().values(row))
            except IntegrityError:
                raise Conflict(f"there is a user {user.name!r} already") from None
            manager = {"owner": user.name, "user": user.name, "role": int(Role.MANAGER)}
            connection.execute(_MEMBERS.insert().values(manager))
            return _existing(connection, user.name)

    def change_user(
        self,
        name: str,
        *,
        title: str | None = None,
        admin: bool | None = None,
        blocked: bool | None = None,
    ) -> User:
        given = {"title": title, "admin": admin, "blocked": blocked}
        changes = {column: value for column, value in given.items() if value is not None}
        with self._call() as connection:
            bump(connection, [user_label(name)])
            before = _existing(connection, name)
            if changes:
                connection.execute(update(_USERS).where(_USERS.c.name == name).values(changes))
            _check_admins(connection, before)
            return _existing(connection, name)

    def delete_user(self, name: str) -> None:
        with self._call() as connection:
            bump(connection, [user_label(name)])
            before = _existing(connection, name)
            owners = [member.owner for member in members_of(connection, user=name)]
            for table in (_SESSIONS, _MEMBERS):
                connection.execute(delete(table).where(table.c.user == name))
            delete_tickets(connection, user=name)
            delete_factors(connection, name)
            made = tables.tokens.c.maker == name
            connection.execute(delete(tables.tokens).where(made))
            for owner in owners:
                if owner != name:  # their own is left to admins
                    check_managed(connection, owner)
            connection.execute(delete(_USERS).where(_USERS.c.name == name))
            _check_admins(connection, before)

    def password_hash(self, name: str) -> str | None:
        with self._read() as connection:
            one = select(_USERS.c.password).where(_USERS.c.name == name)
            return connection.execute(one).scalar_one_or_none()

    def replace_hash(self, name: str, before: str, hash: str) -> None:
        with self._call() as connection:
            same = (_USERS.c.name == name) & (_USERS.c.password == before)
            connection.execute(update(_USERS).where(same).values(password=hash))

    def set_password(self, name: str, hash: str, *, keep_session: str | None = None) -> None:
        with self._call() as connection:
            bump(connection, [user_label(name)])
            check_user(connection, name)
            connection.execute(update(_USERS).where(_USERS.c.name == name).values(password=hash))
            links = (tables.tickets.c.user == name) & (tables.tickets.c.purpose == Purpose.PASSWORD)
            connection.execute(delete(tables.tickets).where(links))
            others = delete(_SESSIONS).where(_SESSIONS.c.user == name)
            if keep_session is not None:
                others = others.where(_SESSIONS.c.id != keep_session)
            connection.execute(others)

    # --- sessions ---------------------------------------------------------------------------------

    def add_session(self, session: Session, secret: str) -> None:
        row = {name: getattr(session, name) for name in Session.__slots__}
        with self._call() as connection:
            check_user(connection, session.user)
            expired = (_SESSIONS.c.user == session.user) & (_SESSIONS.c.expires <= now())
            connection.execute(delete(_SESSIONS).where(expired))
            connection.execute(_SESSIONS.insert().values(row | {"digest": digest(secret)}))

    def sessions(self, user: str) -> Sequence[Session]:
        query = _SESSION.where(_SESSIONS.c.user == user, _SESSIONS.c.expires > now())
        with self._read() as connection:
            rows = connection.execute(query.order_by(_SESSIONS.c.created.desc(), _SESSIONS.c.id))
            return [Session(*row) for row in rows]

    def session_of(self, secret: str) -> Session | None:
        with self._read() as connection:
            return find_session(connection, digest(secret))

    def extend_session(self, id: str, used: Micros, idle: Micros, longest: Micros) -> None:
        with self._call() as connection:
            sooner = func.min if connection.dialect.name == "sqlite" else func.least
            expires = sooner(used + idle, _SESSIONS.c.created + longest)
            one = update(_SESSIONS).where(_SESSIONS.c.id == id, _SESSIONS.c.used < used)
            connection.execute(one.values(used=used, expires=expires))

    def end_session(self, user: str, id: str) -> None:
        with self._call() as connection:
            bump(connection, [user_label(user)])
            one = (_SESSIONS.c.user == user) & (_SESSIONS.c.id == id)
            if not connection.execute(delete(_SESSIONS).where(one)).rowcount:
                raise NotFound(f"{user!r} has no session {id!r}")

    def end_sessions(self, user: str, *, keep: str | None = None) -> int:
        with self._call() as connection:
            bump(connection, [user_label(user)])
            some = (_SESSIONS.c.user == user) & (_SESSIONS.c.id != (keep or ""))
            return connection.execute(delete(_SESSIONS).where(some)).rowcount


def find_user(connection: Connection, name: str) -> User | None:
    row: Any = connection.execute(USER.where(_USERS.c.name == name)).one_or_none()
    return None if row is None else User(*row)


def find_session(connection: Connection, key: bytes) -> Session | None:
    one = _SESSION.where(_SESSIONS.c.digest == key, _SESSIONS.c.expires > now())
    row: Any = connection.execute(one).one_or_none()
    return None if row is None else Session(*row)


def _existing(connection: Connection, name: str) -> User:
    found = find_user(connection, name)
    if found is None:
        raise NotFound(f"there is no user {name!r}")
    return found


def _check_admins(connection: Connection, before: User) -> None:
    """Refuse a change of an admin after which nobody is one."""
    was = before.admin and not before.blocked
    if was and not connection.execute(_ADMINS).scalar_one():
        raise Conflict(f"{before.name!r} is the last admin: make somebody else one first")
