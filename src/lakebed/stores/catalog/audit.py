"""The audit log: rows are added and expire, and never change."""

import secrets
from collections.abc import Sequence

from sqlalchemy import delete, select

from lakebed.ports.accounts.audit import AuditEntry
from lakebed.stores.catalog import account_tables as tables
from lakebed.stores.catalog.database import Database
from lakebed.vocabulary.times import Micros

_AUDIT = tables.audit
_STEP = 4096
"""Numbers of one microsecond; a random one of them, as no process asks another."""

_ENTRY = select(_AUDIT.c.number, *(_AUDIT.c[name] for name in AuditEntry.__slots__))


class SqlAudit(Database):
    """Implements `ports.accounts.AuditLog`."""

    def add_audit(self, entries: Sequence[AuditEntry]) -> None:
        rows = [
            {name: getattr(entry, name) for name in AuditEntry.__slots__}
            | {"number": entry.time * _STEP + secrets.randbelow(_STEP)}
            for entry in entries
        ]
        if rows:
            with self._call() as connection:
                connection.execute(_AUDIT.insert(), rows)

    def audit(
        self,
        owner: str | None = None,
        *,
        start: Micros | None = None,
        end: Micros | None = None,
        actor: str | None = None,
        action: str | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, AuditEntry]]:
        query = _ENTRY.order_by(_AUDIT.c.number.desc()).limit(limit)
        c = _AUDIT.c
        if owner is not None:
            query = query.where(c.owner == owner)
        if start is not None:
            query = query.where(c.time >= start)
        if end is not None:
            query = query.where(c.time < end)
        if actor is not None:
            query = query.where(c.actor == actor)
        if action is not None:
            query = query.where(c.action == action)
        if before is not None:
            query = query.where(c.number < before)
        with self._read() as connection:
            return [(number, AuditEntry(*rest)) for number, *rest in connection.execute(query)]

    def expire_audit(self, before: Micros) -> int:
        with self._call() as connection:
            return connection.execute(delete(_AUDIT).where(_AUDIT.c.time < before)).rowcount
