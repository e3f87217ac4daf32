"""Secrets of owners by name, encrypted before they come here."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row, func, select, update

from lakebed.ports.catalog.secrets import StoredSecret
from lakebed.stores.catalog.account_tables import secrets
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.named import Named


class SqlSecrets(Database):
    """Implements `ports.catalog.secrets.SecretStore`."""

    def secrets(self, owner: str) -> list[StoredSecret]:
        with self._read() as connection:
            query = select(secrets).where(secrets.c.owner == owner).order_by(secrets.c.name)
            return [_secret(row) for row in connection.execute(query)]

    def secret(self, owner: str, name: str) -> StoredSecret | None:
        with self._read() as connection:
            return _NAMED.find(connection, owner, name)

    def put_secret(self, secret: StoredSecret) -> tuple[StoredSecret, bool]:
        with self._call() as connection:
            return _NAMED.put(connection, [secret], False, _any)[0]

    def delete_secret(self, owner: str, name: str) -> None:
        with self._call() as connection:
            _NAMED.delete(connection, owner, name, _any)

    def secret_keys(self) -> dict[str, int]:
        query = select(secrets.c.key, func.count().label("number")).group_by(secrets.c.key)
        with self._read() as connection:
            return {row.key: row.number for row in connection.execute(query)}

    def reseal_secrets(
        self, reseal: Callable[[StoredSecret], tuple[bytes, str]], but: Sequence[str]
    ) -> int:
        query = select(secrets).where(secrets.c.key.not_in(but)).with_for_update()
        with self._call() as connection:
            found = [_secret(row) for row in connection.execute(query)]
            for one in found:
                sealed, key = reseal(one)
                this = (secrets.c.owner == one.owner) & (secrets.c.name == one.name)
                connection.execute(update(secrets).where(this).values(sealed=sealed, key=key))
            return len(found)


def _any(current: StoredSecret) -> None:
    """Allow every change."""


def _secret(row: Row[Any]) -> StoredSecret:
    return StoredSecret(**row._asdict())


_NAMED = Named(
    secrets,
    "secret",
    _secret,
    written=lambda one: {"sealed": one.sealed, "key": one.key, "writer": one.writer},
    same=lambda before, wanted: False,  # an equal value has another ciphertext
)
