"""Second factors of users, and recovery codes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from lakebed.ports.accounts.credentials import user_label
from lakebed.ports.accounts.factors import Factor, FactorKind
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import bump
from lakebed.stores.catalog.owners import check_user
from lakebed.vocabulary.credentials import digest
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import Micros, now

_FACTORS, _CODES, _USERS = (
    tables.factors,
    tables.recovery_codes,
    tables.users,
)
_FACTOR = select(*(_FACTORS.c[name] for name in Factor.__slots__))


class SqlFactors(Database):
    """Fulfils `ports.accounts.FactorStore`."""

    def factors(self, user: str) -> Sequence[Factor]:
        query = _FACTOR.where(_FACTORS.c.user == user).order_by(_FACTORS.c.created, _FACTORS.c.id)
        with self._read() as connection:
            return [_factor(row) for row in connection.execute(query)]

    def passkey(self, credential: bytes) -> Factor | None:
        one = (_FACTORS.c.credential == credential) & (_FACTORS.c.kind == FactorKind.PASSKEY)
        with self._read() as connection:
            row = connection.execute(_FACTOR.where(one)).one_or_none()
        return None if row is None else _factor(row)

    def add_factor(self, factor: Factor) -> None:
        row = {name: getattr(factor, name) for name in Factor.__slots__} | {"created": now()}
        same = (_FACTORS.c.credential == factor.credential) & (_FACTORS.c.kind == factor.kind)
        with self._call() as connection:
            bump(connection, [user_label(factor.user)])  # makes others wait that add one
            check_user(connection, factor.user)
            if factor.credential and connection.execute(_FACTOR.where(same)).first() is not None:
                raise Conflict("this passkey is registered already")
            connection.execute(_FACTORS.insert().values(row))
            _flag(connection, factor.user)

    def use_factor(self, id: str, counter: int, moment: Micros) -> bool:
        # authenticators that do not count send 0 always (WebAuthn, section 6.1.1)
        newer = or_(_FACTORS.c.counter < counter, (_FACTORS.c.counter == 0) & (counter == 0))
        used = update(_FACTORS).where(_FACTORS.c.id == id, newer)
        with self._call() as connection:
            values = {"counter": counter, "used": moment}
            return connection.execute(used.values(values)).rowcount == 1

    def remove_factor(self, user: str, id: str) -> None:
        one = (_FACTORS.c.user == user) & (_FACTORS.c.id == id)
        with self._call() as connection:
            bump(connection, [user_label(user)])
            if not connection.execute(delete(_FACTORS).where(one)).rowcount:
                raise NotFound(f"{user!r} has no factor {id!r}")
            if not _flag(connection, user):
                connection.execute(delete(_CODES).where(_CODES.c.user == user))

    def set_recovery_codes(self, user: str, codes: Sequence[str]) -> None:
        with self._call() as connection:
            connection.execute(delete(_CODES).where(_CODES.c.user == user))
            rows = [{"user": user, "digest": _digest(user, code)} for code in codes]
            connection.execute(_CODES.insert(), rows)

    def use_recovery_code(self, user: str, code: str) -> bool:
        one = (_CODES.c.user == user) & (_CODES.c.digest == _digest(user, code))
        with self._call() as connection:
            return connection.execute(delete(_CODES).where(one)).rowcount == 1

    def count_recovery_codes(self, user: str) -> int:
        count = select(func.count()).where(_CODES.c.user == user)
        with self._read() as connection:
            return int(connection.execute(count).scalar_one())


def delete_factors(connection: Connection, user: str) -> None:
    """Delete all of a user."""
    for table in (_FACTORS, _CODES):
        connection.execute(delete(table).where(table.c.user == user))


def _flag(connection: Connection, user: str) -> bool:
    """Write whether the user has any factor, and return it."""
    count = select(func.count()).where(_FACTORS.c.user == user)
    has = connection.execute(count).scalar_one() > 0
    connection.execute(update(_USERS).where(_USERS.c.name == user).values(second_factor=has))
    return has


def _digest(user: str, code: str) -> bytes:
    """Of 123 random bits, whose plain hash nobody turns back."""
    return digest(f"{user} {code}")


def _factor(row: Any) -> Factor:
    values = row._asdict()
    return Factor(**values | {"kind": FactorKind(values["kind"])})
