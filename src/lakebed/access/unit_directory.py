"""Caches all units of the instance in memory.

    catalog.grants_version() ── twice a second ──> another: unit_changes(since) ──> two dicts
    find(key, owner) ── one or two look-ups, no waiting ──> Unit | None

One entry for each unit, about 0.6 KB. A unit that is made, blocked or removed counts within a
second. While the catalog does not answer, the cached units stay valid: a known unit must not be
refused as unknown.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from lakebed.ports.accounts.owners import Owner
from lakebed.ports.accounts.units import Unit, UnitChanges
from lakebed.vocabulary.errors import StoreUnavailable

log = structlog.get_logger(__name__)

EVERY = 0.5
"""Seconds between two looks at the version of the grants."""


class UnitSource(Protocol):
    """The part of the accounts that a directory reads."""

    def grants_version(self) -> int: ...

    def owners(self) -> list[Owner]: ...

    def unit_changes(self, since: int, most: int = 10_000) -> UnitChanges: ...


Listener = Callable[[Collection[str] | None], None]
"""Called on the event loop with the uuids that have changed; None: any may have."""


class UnitDirectory:
    """`find` and `by_uuid` are thread-safe; everything else is for the event loop.

    Args:
        on_failure: called when it follows the catalog no more, by an error.

    Attributes:
        failing: why the catalog was not read the last time; empty where it was.
    """

    def __init__(
        self, units: UnitSource, on_failure: Callable[[BaseException], None] | None = None
    ) -> None:
        self._units = units
        self._on_failure = on_failure
        self._by_uuid: dict[str, Unit] = {}
        self._uuids: dict[tuple[str, str], str] = {}
        self._blocked_owners: frozenset[str] = frozenset()
        self._version = -1
        self._revision = 0
        self._listeners: list[Listener] = []
        self._loaded = asyncio.Event()
        self._reading = asyncio.Lock()  # an older reading must not be applied over a newer one
        self._following: asyncio.Task[None] | None = None
        self.failing = ""

    def __len__(self) -> int:
        return len(self._by_uuid)

    def by_uuid(self, uuid: str) -> Unit | None:
        return self._by_uuid.get(uuid.lower())

    def find(self, key: str, owner: str) -> Unit | None:
        """The unit with this uuid, or the one of this name in `owner`.

        A name that is the uuid of another unit counts in the name space of both alone: else whoever
        names a unit so would get what units of other owners send.
        """
        known, named = self._by_uuid.get(key.lower()), self._uuids.get((owner, key))
        if named is None or (known is not None and known.owner != owner):
            return known
        return self._by_uuid.get(named)

    def is_blocked(self, unit: Unit) -> bool:
        """Whether it, or its owner, is blocked."""
        return unit.blocked or unit.owner in self._blocked_owners

    def watch(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after every change; returns a function that ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    # --- following the catalog --------------------------------------------------------------------

    def follow(self) -> None:
        """Begin to follow the catalog, unless that has begun."""
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="units")
            self._following.add_done_callback(self._ended)

    async def close(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
            self._following = None

    @property
    def is_loaded(self) -> bool:
        """Whether all units have been read once."""
        return self._loaded.is_set()

    async def loaded(self) -> None:
        """Return when all units have been read once."""
        await self._loaded.wait()

    def _ended(self, following: asyncio.Task[None]) -> None:
        """Units as they once were must not count for ever."""
        if not following.cancelled() and (error := following.exception()) is not None:
            log.error("units are not followed any more", error=str(error))
            if self._on_failure is not None:
                self._on_failure(error)

    async def _follow(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(EVERY)

    async def refresh(self) -> None:
        """Read what has changed, if anything has."""
        async with self._reading:
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            found = await asyncio.to_thread(self._read)
        except StoreUnavailable as error:
            if not self.failing:
                log.warning("units are not read, what is known counts", error=str(error))
            self.failing = str(error)
            return
        self.failing = ""
        self._loaded.set()
        if found is None or found:
            for listener in list(self._listeners):
                listener(found)

    def _read(self) -> Collection[str] | None:
        """Read the changes into the dicts; the uuids, or None where any may have changed."""
        version = self._units.grants_version()
        if version == self._version:
            return ()
        blocked = frozenset(owner.name for owner in self._units.owners() if owner.blocked)
        # a catalog that has lost its last changes begins again, with a lower version
        since = self._revision if version > self._version else 0
        anew = since == 0
        changed: set[str] = set()
        found: dict[str, Unit] = {}
        while True:
            changes = self._units.unit_changes(since)
            changed.update(changes.removed)
            found.update((unit.uuid, unit) for unit in changes.changed)
            if changes.revision == since:
                break
            since = changes.revision
        if anew:
            changed.update(self._by_uuid.keys() - found.keys())
        self._apply(changed - found.keys(), found)
        any_owner, self._blocked_owners = blocked != self._blocked_owners, blocked
        self._version, self._revision = version, since
        return None if any_owner or anew else changed | found.keys()

    def _apply(self, removed: Collection[str], found: dict[str, Unit]) -> None:
        # single operations on dicts: another thread sees a unit as it was or as it is
        for uuid in removed:
            gone = self._by_uuid.pop(uuid, None)
            if gone is not None and self._uuids.get((gone.owner, gone.name)) == uuid:
                del self._uuids[gone.owner, gone.name]
        for uuid, unit in found.items():
            self._by_uuid[uuid] = unit
            self._uuids[unit.owner, unit.name] = uuid
