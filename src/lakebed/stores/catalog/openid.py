"""Clients, codes, tokens and keys of the OpenID provider."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.exc import IntegrityError

from lakebed.ports.accounts.openid import OpenIdClient, OpenIdCode, OpenIdToken, SigningKey
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import DAY, Micros, now

_CLIENTS, _CODES = tables.openid_clients, tables.openid_codes
_TOKENS, _KEYS = tables.openid_tokens, tables.openid_keys
_CLIENT = select(*(_CLIENTS.c[name] for name in OpenIdClient.__slots__))
_CODE = select(*(_CODES.c[name] for name in OpenIdCode.__slots__))
_TOKEN = select(*(_TOKENS.c[name] for name in OpenIdToken.__slots__))
_KEY = select(*(_KEYS.c[name] for name in SigningKey.__slots__))


class SqlOpenId(Database):
    """Fulfils `ports.accounts.OpenIdStore`."""

    def openid_clients(self) -> list[OpenIdClient]:
        with self._read() as connection:
            return [_client(row) for row in connection.execute(_CLIENT.order_by(_CLIENTS.c.id))]

    def openid_client(self, id: str) -> OpenIdClient | None:
        with self._read() as connection:
            row = connection.execute(_CLIENT.where(_CLIENTS.c.id == id)).one_or_none()
        return None if row is None else _client(row)

    def openid_secret(self, id: str) -> bytes | None:
        with self._read() as connection:
            one = select(_CLIENTS.c.digest).where(_CLIENTS.c.id == id)
            return connection.execute(one).scalar_one_or_none()

    def add_openid_client(self, client: OpenIdClient, secret: str) -> OpenIdClient:
        row = {
            "id": client.id,
            "title": client.title,
            "redirects": json.dumps(client.redirects),
            "digest": digest(secret),
            "created": now(),
        }
        with self._call() as connection:
            try:
                connection.execute(_CLIENTS.insert().values(row))
            except IntegrityError:
                raise Conflict(f"there is a client {client.id!r} already") from None
            return _client(connection.execute(_CLIENT.where(_CLIENTS.c.id == client.id)).one())

    def change_openid_client(
        self,
        id: str,
        *,
        title: str | None = None,
        redirects: Sequence[str] | None = None,
        secret: str | None = None,
        check: Callable[[OpenIdClient], None] = lambda client: None,
    ) -> OpenIdClient:
        given = {
            "title": title,
            "redirects": None if redirects is None else json.dumps(list(redirects)),
            "digest": None if secret is None else digest(secret),
        }
        changes = {column: value for column, value in given.items() if value is not None}
        with self._call() as connection:
            check(_locked(connection, id))
            if changes:
                connection.execute(update(_CLIENTS).where(_CLIENTS.c.id == id).values(changes))
            row = connection.execute(_CLIENT.where(_CLIENTS.c.id == id)).one()
            for table in (_CODES, _TOKENS):
                connection.execute(delete(table).where(table.c.client == id))
            return _client(row)

    def delete_openid_client(
        self, id: str, check: Callable[[OpenIdClient], None] = lambda client: None
    ) -> None:
        with self._call() as connection:
            check(_locked(connection, id))
            for table in (_CODES, _TOKENS):
                connection.execute(delete(table).where(table.c.client == id))
            connection.execute(delete(_CLIENTS).where(_CLIENTS.c.id == id))

    # --- codes and tokens -------------------------------------------------------------------------

    def add_openid_code(self, code: OpenIdCode, secret: str) -> None:
        row = {name: getattr(code, name) for name in OpenIdCode.__slots__}
        with self._call() as connection:
            # used codes stay for a while: one that comes again ends its tokens
            connection.execute(delete(_CODES).where(_CODES.c.expires <= now() - DAY))
            connection.execute(delete(_TOKENS).where(_TOKENS.c.expires <= now()))
            connection.execute(
                _CODES.insert().values(row | {"digest": digest(secret), "used": False})
            )

    def openid_nonce_used(self, client: str, nonce: str) -> bool:
        one = select(_CODES.c.nonce).where(
            _CODES.c.client == client, _CODES.c.nonce == nonce, _CODES.c.expires > now()
        )
        with self._read() as connection:
            return connection.execute(one.limit(1)).one_or_none() is not None

    def take_openid_code(self, secret: str, client: str) -> OpenIdCode | None:
        key = digest(secret)
        with self._call() as connection:
            one = (_CODES.c.digest == key) & (_CODES.c.client == client)
            unused = one & ~_CODES.c.used & (_CODES.c.expires > now())
            taken = connection.execute(update(_CODES).where(unused).values(used=True)).rowcount
            row: Any = connection.execute(_CODE.where(one)).one_or_none()
            if taken and row is not None:
                return OpenIdCode(*row)
            if row is not None:
                connection.execute(delete(_TOKENS).where(_TOKENS.c.code == key))
        return None

    def add_openid_token(self, token: OpenIdToken, secret: str, code: str) -> None:
        row = {name: getattr(token, name) for name in OpenIdToken.__slots__}
        with self._call() as connection:
            row |= {"digest": digest(secret), "code": digest(code)}
            connection.execute(_TOKENS.insert().values(row))

    def openid_token(self, secret: str) -> OpenIdToken | None:
        sessions, users = tables.sessions, tables.users
        one = (
            _TOKEN.join(sessions, sessions.c.id == _TOKENS.c.session)
            .join(users, users.c.name == _TOKENS.c.user)
            .where(
                _TOKENS.c.digest == digest(secret),
                _TOKENS.c.expires > now(),
                sessions.c.expires > now(),
                ~users.c.blocked,
            )
        )
        with self._read() as connection:
            row: Any = connection.execute(one).one_or_none()
        return None if row is None else OpenIdToken(*row)

    # --- keys -------------------------------------------------------------------------------------

    def openid_keys(self) -> list[SigningKey]:
        newest = (_KEYS.c.created.desc(), _KEYS.c.id)
        with self._read() as connection:
            return [SigningKey(*row) for row in connection.execute(_KEY.order_by(*newest))]

    def add_openid_key(self, key: SigningKey) -> None:
        row = {name: getattr(key, name) for name in SigningKey.__slots__}
        with self._call() as connection:
            connection.execute(_KEYS.insert().values(row))

    def expire_openid(self, keys_before: Micros) -> None:
        with self._call() as connection:
            for table in (_CODES, _TOKENS):
                connection.execute(delete(table).where(table.c.expires <= now()))
            connection.execute(delete(_KEYS).where(_KEYS.c.created < keys_before))


def _locked(connection: Connection, id: str) -> OpenIdClient:
    """A client; others wait that would change it."""
    one = _CLIENT.where(_CLIENTS.c.id == id).with_for_update()
    row = connection.execute(one).one_or_none()
    if row is None:
        raise NotFound(f"there is no client {id!r}")
    return _client(row)


def _client(row: Any) -> OpenIdClient:
    id, title, redirects, created = row
    return OpenIdClient(id, title, tuple(json.loads(redirects)), created)
