"""Shares of owners' topics."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from lakebed.ports.accounts.shares import Share, ShareCheck, any_share
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.stores.catalog.grants import NOBODY, bump, lock, of_audiences
from lakebed.stores.catalog.named import Named

_SHARES = tables.shares
_SHARE = select(*(_SHARES.c[name] for name in Share.__slots__))
_LISTS = ("topics", "audience", "may")


class SqlShares(Database):
    """Implements `ports.accounts.ShareStore`."""

    def shares(self, owner: str | None = None) -> list[Share]:
        owners = tables.owners
        query = _SHARE.join(owners, owners.c.name == _SHARES.c.owner).where(~owners.c.blocked)
        if owner is not None:
            query = _SHARE.where(_SHARES.c.owner == owner)
        with self._read() as connection:
            rows = connection.execute(query.order_by(_SHARES.c.owner, _SHARES.c.name))
            return [_share(row) for row in rows]

    def put_shares(
        self, shares: Sequence[Share], *, create: bool = False, check: ShareCheck = any_share
    ) -> list[tuple[Share, bool]]:
        with self._call() as connection:
            lock(connection)
            audiences = set[str]()
            for share in shares:
                before = _NAMED.find(connection, share.owner, share.name)
                if before is None or not _same(before, share):
                    audiences.update(share.audience, () if before is None else before.audience)
            bump(connection, of_audiences(audiences) if audiences else NOBODY)
            return _NAMED.put(connection, shares, create, check)

    def delete_share(self, owner: str, name: str, check: ShareCheck = any_share) -> None:
        with self._call() as connection:
            lock(connection)
            before = _NAMED.find(connection, owner, name)
            bump(connection, NOBODY if before is None else of_audiences(before.audience))
            _NAMED.delete(connection, owner, name, check)


def _lists(share: Share) -> dict[str, tuple[str, ...]]:
    return {name: getattr(share, name) for name in _LISTS}


def _same(before: Share, wanted: Share) -> bool:
    return _lists(before) == _lists(wanted)


def _share(row: Row[Any]) -> Share:
    values = row._asdict()
    for name in _LISTS:
        values[name] = tuple(json.loads(values[name]))
    return Share(**values)


_NAMED = Named(
    _SHARES,
    "share",
    _share,
    written=lambda share: {name: json.dumps(value) for name, value in _lists(share).items()},
    same=_same,
)
