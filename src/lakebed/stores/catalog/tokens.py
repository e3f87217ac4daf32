"""Tokens: 256 random bits each, kept only as their SHA-256."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from lakebed.ports import Identity
from lakebed.stores.catalog import tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem
from lakebed.vocabulary.times import now

_TABLE = tables.tokens
_IDENTITY = select(_TABLE.c.owner, _TABLE.c.name, _TABLE.c.publish, _TABLE.c.read, _TABLE.c.admin)
_PREFIX = "lb_"
"""Lets secret scanners know a token, and keeps it from looking like a command line flag."""


class SqlTokens(Database):
    """Fulfils `ports.TokenStore`."""

    def identify(self, token: str) -> Identity | None:
        with self._read() as connection:
            row = connection.execute(
                _IDENTITY.where(_TABLE.c.digest == digest(token))
            ).one_or_none()
        return None if row is None else _identity(row)

    def add_token(self, identity: Identity, token: str | None = None) -> str:
        if token is None:
            token = _PREFIX + secrets.token_urlsafe(32)
        if not token:
            raise Invalid(Problem("token", "it must not be empty"))
        row = {
            "owner": identity.owner,
            "name": identity.name,
            "digest": digest(token),
            "publish": json.dumps(identity.publish),
            "read": json.dumps(identity.read),
            "admin": identity.admin,
            "created": now(),
        }
        with self._call() as connection:
            try:
                connection.execute(_TABLE.insert().values(row))
            except IntegrityError:
                raise Conflict(
                    f"{identity.owner} has a token named {identity.name!r} already"
                ) from None
        return token

    def tokens(self) -> list[Identity]:
        with self._read() as connection:
            rows = connection.execute(_IDENTITY.order_by(_TABLE.c.owner, _TABLE.c.name))
            return [_identity(row) for row in rows]

    def revoke_token(self, owner: str, name: str) -> None:
        """Raises `NotFound`."""
        condition = (_TABLE.c.owner == owner) & (_TABLE.c.name == name)
        with self._call() as connection:
            if connection.execute(delete(_TABLE).where(condition)).rowcount == 0:
                raise NotFound(f"{owner} has no token named {name!r}")


def digest(token: str) -> bytes:
    """What is stored and compared. No salt and no slow hash: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _identity(row: Sequence[Any]) -> Identity:
    owner, name, publish, read, admin = row
    return Identity(owner, name, tuple(json.loads(publish)), tuple(json.loads(read)), admin)
