"""Documents of limits in the catalog, and units that were cut off.

Only what has changed is read again. How long a unit stays cut off is a note in the catalog, so that
any process ends it; a unit that somebody has changed meanwhile is left as it is. The note and the
block are written in one transaction: a process that dies leaves no unit blocked for ever. To block
is the first write there, so that processes which do so at once wait for each other.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Protocol

from lakebed.limits.book import STORED_NOTE, Documents
from lakebed.ports.accounts.credentials import CredentialStore
from lakebed.ports.accounts.owners import OwnerStore
from lakebed.ports.accounts.units import UnitStore
from lakebed.ports.catalog.notes import NoteStore
from lakebed.vocabulary.errors import NotFound
from lakebed.vocabulary.times import Micros

_NOTE = "cut off"


class Accounts(OwnerStore, UnitStore, CredentialStore, Protocol):
    """What limits need of the accounts."""

    def transaction(self) -> AbstractContextManager[None]: ...


class StoredLimits:
    """Fulfils `book.LimitStore`; one thread at a time."""

    def __init__(self, accounts: Accounts, notes: NoteStore) -> None:
        self._accounts, self._notes = accounts, notes
        self._version: int | None = None
        self._revision = 0
        self._units: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def changed_documents(self) -> Documents | None:
        version = self._accounts.grants_version()
        if version == self._version:
            return None
        found: dict[tuple[str, str], Mapping[str, Any]] = {
            (owner.name, ""): owner.limits for owner in self._accounts.owners() if owner.limits
        }
        self._read_units()
        self._version = version
        found.update({(owner, uuid): limits for uuid, (owner, limits) in self._units.items()})
        return found

    def _read_units(self) -> None:
        while True:
            changes = self._accounts.unit_changes(self._revision)
            for unit in changes.changed:
                if unit.limits:
                    self._units[unit.uuid] = unit.owner, unit.limits
                else:
                    self._units.pop(unit.uuid, None)
            for uuid in changes.removed:
                self._units.pop(uuid, None)
            if changes.revision == self._revision:
                return
            self._revision = changes.revision

    def stored(self) -> Mapping[str, int]:
        found: dict[str, int] = json.loads(self._notes.note(STORED_NOTE) or "{}")
        return found

    def cut_off(self, unit: str, until: Micros | None) -> None:
        with suppress(NotFound), self._accounts.transaction():
            blocked = self._accounts.block_unit(unit, True)
            if until is not None:
                self._write({**self._cut_off(), unit: [blocked.revision, until]})

    def end_cut_offs(self, now: Micros) -> list[str]:
        cut = self._cut_off()
        over = {unit: revision for unit, (revision, until) in cut.items() if until <= now}
        if not over:
            return []
        ended = []
        with self._accounts.transaction():
            for uuid, revision in over.items():
                unit = self._accounts.unit_by_uuid(uuid)
                if unit is not None and unit.blocked and unit.revision == revision:
                    self._accounts.block_unit(uuid, False)
                    ended.append(uuid)
            self._write({unit: kept for unit, kept in self._cut_off().items() if unit not in over})
        return ended

    def _cut_off(self) -> dict[str, tuple[int, Micros]]:
        found: dict[str, tuple[int, Micros]] = json.loads(self._notes.note(_NOTE) or "{}")
        return found

    def _write(self, cut: Mapping[str, object]) -> None:
        self._notes.write_note(_NOTE, json.dumps(cut) if cut else None)
