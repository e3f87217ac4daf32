"""Tokens of programs, kept only as their SHA-256."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from lakebed.ports.accounts.credentials import token_label
from lakebed.ports.accounts.tokens import StoredToken
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import NOBODY, bump
from lakebed.stores.catalog.owners import ensure
from lakebed.vocabulary.credentials import digest, new_secret
from lakebed.vocabulary.errors import Conflict, Invalid, NotFound, Problem
from lakebed.vocabulary.roles import Role
from lakebed.vocabulary.times import Micros, now

_TABLE = tables.tokens
_TOKEN = select(*(_TABLE.c[name] for name in StoredToken.__slots__))
_ADMINS = select(func.count()).select_from(_TABLE).where(_TABLE.c.admin)


class SqlTokens(Database):
    """Implements `ports.TokenStore`."""

    def find_token(self, secret: str) -> StoredToken | None:
        with self._read() as connection:
            return find_tokens(connection, [digest(secret)]).get(digest(secret))

    def add_token(self, token: StoredToken, secret: str | None = None) -> str:
        if secret is None:
            secret = new_secret()
        if not secret:
            raise Invalid(Problem("token", "it must not be empty"))
        with self._call() as connection:
            ensure(connection, token.owner)
            try:
                connection.execute(_TABLE.insert().values(_row(token, secret)))
            except IntegrityError:
                raise Conflict(f"{token.owner} has a token named {token.name!r} already") from None
            bump(connection, NOBODY)
        return secret

    def replace_token(self, token: StoredToken, secret: str) -> None:
        if self.find_token(secret) == token:
            return
        try:
            with self.transaction():
                with self._call() as connection:
                    connection.execute(delete(_TABLE).where(_named(token.owner, token.name)))
                self.add_token(token, secret)
                with self._call() as connection:
                    # last, as `add_token` does: else two could wait for each other
                    bump(connection, [token_label(token.owner, token.name)])
        except Conflict:
            if self.find_token(secret) != token:
                raise

    def tokens(self) -> list[StoredToken]:
        with self._read() as connection:
            rows = connection.execute(_TOKEN.order_by(_TABLE.c.owner, _TABLE.c.name))
            return [_stored(row) for row in rows]

    def touch_tokens(self, used: Mapping[tuple[str, str], Micros]) -> None:
        with self._call() as connection:
            for (owner, name), moment in sorted(used.items()):
                connection.execute(update(_TABLE).where(_named(owner, name)).values(used=moment))

    def revoke_token(self, owner: str, name: str, *, keep_admin: bool = False) -> None:
        with self._call() as connection:
            # the first write: two that revoke at once wait for each other here
            bump(connection, [token_label(owner, name)])
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


def find_tokens(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, StoredToken]:
    """Tokens by their digests."""
    query = _TOKEN.add_columns(_TABLE.c.digest).where(_TABLE.c.digest.in_(keys))
    return {row.digest: _stored(row) for row in connection.execute(query)}


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
        "role": int(token.role),
        "expires": token.expires,
        "maker": token.maker,
    }


def _stored(row: Row[Any]) -> StoredToken:
    values = dict(zip(StoredToken.__slots__, row, strict=False))
    for name in ("publish", "read"):
        values[name] = tuple(json.loads(values[name]))
    return StoredToken(**values | {"role": Role(values["role"])})
