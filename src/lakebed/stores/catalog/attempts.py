"""Attempts to sign in, by account and address; a bounded number of rows."""

import hashlib
import random
from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, select, update

from lakebed.ports.accounts.attempts import Pace
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.times import HOUR, SECOND, Micros, now

_ATTEMPTS = tables.attempts
_MOST = 50_000
"""Rows; the oldest go first. Looked at with one in so many new rows:"""
_SELDOM = 64


class SqlAttempts(Database):
    """Fulfils `ports.accounts.AttemptStore`."""

    def begin_attempt(self, keys: Sequence[tuple[str, Pace]]) -> Micros:
        moment = now()
        with self._call() as connection:
            # in one order, so that two who try at once do not wait for each other
            paced = sorted((_digest(key), pace) for key, pace in keys)
            found = [_locked(connection, key, moment) for key, _ in paced]
            wait = max(until - moment for _, until, _ in found)
            if wait > 0:
                return wait
            for (key, pace), (count, _, last) in zip(paced, found, strict=True):
                tried = 1 if last < moment - pace.forget else count + 1
                values = {"count": tried, "until": moment + _wait(tried, pace), "last": moment}
                connection.execute(update(_ATTEMPTS).where(_ATTEMPTS.c.key == key).values(values))
            return 0

    def undo_attempt(self, keys: Sequence[str]) -> None:
        with self._call() as connection:
            some = _ATTEMPTS.c.key.in_([_digest(key) for key in keys])
            less = {"count": _ATTEMPTS.c.count - 1, "until": 0}
            connection.execute(update(_ATTEMPTS).where(some, _ATTEMPTS.c.count > 0).values(less))

    def forget_attempts(self, keys: Sequence[str]) -> None:
        with self._call() as connection:
            some = _ATTEMPTS.c.key.in_([_digest(key) for key in keys])
            connection.execute(delete(_ATTEMPTS).where(some))


def _digest(key: str) -> bytes:
    """Keys are of one size, whatever somebody types as a name, and tell nobody's address."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _wait(tried: int, pace: Pace) -> Micros:
    beyond = tried - pace.free
    return 0 if beyond <= 0 else min(pace.longest, SECOND << min(beyond - 1, 30))


def _locked(connection: Connection, key: bytes, moment: Micros) -> tuple[int, Micros, Micros]:
    """Count, end of the wait and last attempt of a key, whose row is locked until the commit."""
    new = {"key": key, "count": 0, "until": 0, "last": moment}
    upsert = insert(connection.dialect.name, _ATTEMPTS).values(new)
    locked = upsert.on_conflict_do_update(
        index_elements=["key"], set_={"count": _ATTEMPTS.c.count}
    ).returning(_ATTEMPTS.c.count, _ATTEMPTS.c.until, _ATTEMPTS.c.last)
    count, until, last = connection.execute(locked).one()
    if count == 0 and random.randrange(_SELDOM) == 0:  # noqa: S311  (no secret)
        _expire(connection, moment)
    return count, until, last


def _expire(connection: Connection, moment: Micros) -> None:
    connection.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.last < moment - 24 * HOUR))
    there = connection.execute(select(func.count()).select_from(_ATTEMPTS)).scalar_one()
    if there > _MOST:
        oldest = select(_ATTEMPTS.c.key).order_by(_ATTEMPTS.c.last).limit(there - _MOST)
        connection.execute(delete(_ATTEMPTS).where(_ATTEMPTS.c.key.in_(oldest)))
