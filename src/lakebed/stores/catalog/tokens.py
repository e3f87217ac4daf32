"""Tokens: 256 random bits each, kept only as their SHA-256."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from lakebed.ports.tokens import StoredToken
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem
from lakebed.vocabulary.times import now

_TABLE = tables.tokens
_TOKEN = select(_TABLE.c.owner, _TABLE.c.name, _TABLE.c.publish, _TABLE.c.read, _TABLE.c.admin)
_VERSION = tables.revisions.c.name == "grants"
_READ_VERSION = select(tables.revisions.c.value).where(_VERSION)
_ADMINS = select(func.count()).select_from(_TABLE).where(_TABLE.c.admin)
_PREFIX = "lb_"
"""Lets secret scanners detect tokens, and keeps a token from starting with a dash."""


class SqlTokens(Database):
    """Fulfils `ports.TokenStore`."""

    def grants_version(self) -> int:
        with self._read() as connection:
            return int(connection.execute(_READ_VERSION).scalar_one())

    def find_token(self, secret: str) -> StoredToken | None:
        with self._read() as connection:
            found = _TOKEN.where(_TABLE.c.digest == digest(secret))
            row = connection.execute(found).one_or_none()
        return None if row is None else _stored(row)

    def add_token(self, token: StoredToken, secret: str | None = None) -> str:
        if secret is None:
            secret = _PREFIX + secrets.token_urlsafe(32)
        if not secret:
            raise Invalid(Problem("token", "it must not be empty"))
        with self._call() as connection:
            try:
                connection.execute(_TABLE.insert().values(_row(token, secret)))
            except IntegrityError:
                raise Conflict(f"{token.owner} has a token named {token.name!r} already") from None
            _bump(connection)
        return secret

    def replace_token(self, token: StoredToken, secret: str) -> None:
        if self.find_token(secret) == token:
            return
        try:
            with self.transaction():
                with self._call() as connection:
                    connection.execute(delete(_TABLE).where(_named(token.owner, token.name)))
                self.add_token(token, secret)
        except Conflict:
            if self.find_token(secret) != token:
                raise

    def tokens(self) -> list[StoredToken]:
        with self._read() as connection:
            rows = connection.execute(_TOKEN.order_by(_TABLE.c.owner, _TABLE.c.name))
            return [_stored(row) for row in rows]

    def revoke_token(self, owner: str, name: str, *, keep_admin: bool = False) -> None:
        with self._call() as connection:
            _bump(connection)  # the first write: two that revoke at once wait for each other here
            gone = delete(_TABLE).where(_named(owner, name)).returning(_TABLE.c.admin)
            admin = connection.execute(gone).scalar_one_or_none()
            if admin is None:
                raise NotFound(f"{owner} has no token named {name!r}")
            if keep_admin and admin and not connection.execute(_ADMINS).scalar_one():
                raise Conflict(
                    f"{owner}/{name} is the last token of an admin: nobody could make tokens any"
                    " more until a restart makes a new one. Make another first"
                    " (lakebed token add NAME --admin)"
                )


def digest(secret: str) -> bytes:
    """Hash a token for storage. No salt and no slow hash: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _bump(connection: Connection) -> None:
    """Raise the version of the grants, to the current time at least.

    A catalog may lose its last changes, as by a failover to a replica that is behind. With times
    it never reuses a version that a process has cached.
    """
    value = tables.revisions.c.value
    newer = func.max if connection.dialect.name == "sqlite" else func.greatest
    connection.execute(
        update(tables.revisions).where(_VERSION).values(value=newer(value + 1, now()))
    )


def _named(owner: str, name: str) -> Any:
    return (_TABLE.c.owner == owner) & (_TABLE.c.name == name)


def _row(token: StoredToken, secret: str) -> dict[str, Any]:
    return {
        "owner": token.owner,
        "name": token.name,
        "digest": digest(secret),
        "publish": json.dumps(token.publish),
        "read": json.dumps(token.read),
        "admin": token.admin,
        "created": now(),
    }


def _stored(row: Sequence[Any]) -> StoredToken:
    owner, name, publish, read, admin = row
    return StoredToken(owner, name, tuple(json.loads(publish)), tuple(json.loads(read)), admin)
