"""Shares of owners' topics."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, select

from lakebed.ports.accounts.shares import Share, ShareCheck, any_share
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import bump
from lakebed.stores.catalog.owners import ensure
from lakebed.stores.catalog.upsert import insert
from lakebed.vocabulary.errors import Conflict, NotFound
from lakebed.vocabulary.times import now

_SHARES = tables.shares
SHARE = select(*(_SHARES.c[name] for name in Share.__slots__))
_WRITTEN = ("topics", "audience", "may", "updated", "version")


class SqlShares(Database):
    """Implements `ports.accounts.ShareStore`."""

    def shares(self, owner: str | None = None) -> list[Share]:
        owners = tables.owners
        query = SHARE.join(owners, owners.c.name == _SHARES.c.owner).where(~owners.c.blocked)
        if owner is not None:
            query = SHARE.where(_SHARES.c.owner == owner)
        with self._read() as connection:
            rows = connection.execute(query.order_by(_SHARES.c.owner, _SHARES.c.name))
            return [_share(row) for row in rows]

    def put_shares(
        self, shares: Sequence[Share], *, create: bool = False, check: ShareCheck = any_share
    ) -> list[tuple[Share, bool]]:
        with self._call() as connection:
            bump(connection)
            written: list[tuple[Share, bool]] = []
            for share in shares:
                ensure(connection, share.owner)
                one = SHARE.where(_SHARES.c.owner == share.owner, _SHARES.c.name == share.name)
                row = connection.execute(one).one_or_none()
                before = None if row is None else _share(row)
                if before is not None and create:
                    raise Conflict(f"a share named {share.name!r} exists already")
                if before is not None:
                    check(before)
                if before is not None and _same(before, share):
                    written.append((before, False))
                    continue
                values = {
                    "owner": share.owner, "name": share.name,
                    "topics": json.dumps(share.topics), "audience": json.dumps(share.audience),
                    "may": json.dumps(share.may),
                    "created": now() if before is None else before.created, "updated": now(),
                    "version": 1 if before is None else before.version + 1,
                }  # fmt: skip
                upsert = insert(connection.dialect.name, _SHARES)
                connection.execute(
                    upsert.on_conflict_do_update(
                        index_elements=["owner", "name"],
                        set_={name: upsert.excluded[name] for name in _WRITTEN},
                    ),
                    values,
                )
                written.append((_share(connection.execute(one).one()), before is None))
        return written

    def delete_share(self, owner: str, name: str, check: ShareCheck = any_share) -> None:
        with self._call() as connection:
            bump(connection)
            one = (_SHARES.c.owner == owner) & (_SHARES.c.name == name)
            row = connection.execute(SHARE.where(one)).one_or_none()
            if row is None:
                raise NotFound(f"there is no share {name!r}")
            check(_share(row))
            connection.execute(delete(_SHARES).where(one))


def _same(before: Share, wanted: Share) -> bool:
    return (before.topics, before.audience, before.may) == (
        wanted.topics, wanted.audience, wanted.may,
    )  # fmt: skip


def _share(row: Row[Any]) -> Share:
    values = row._asdict()
    for name in ("topics", "audience", "may"):
        values[name] = tuple(json.loads(values[name]))
    return Share(**values)
