"""Saves which units are connected to this process, and when credentials were last used.

    connections ──> connected, disconnected ────┐
    Identification ──> Used ────────────────────┼──> every few seconds one batch ──> catalog
    brokers' messages ──> sent, a unit a minute ┘

Nothing is written while nothing happens and no unit is connected. Memory is bounded by the number
of connections, and of units that send through brokers. A batch that the catalog refuses is written
with the next one.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Protocol

from lakebed.access.identification import Identification
from lakebed.ports.accounts.presence import PresenceStore
from lakebed.ports.accounts.tokens import TokenStore
from lakebed.vocabulary.errors import Unavailable
from lakebed.vocabulary.times import SECOND, Micros, now

SEEN_EVERY: Micros = 60 * SECOND
"""At most so often it is written when a unit behind a broker last sent something."""

FLUSH = 5.0
"""Seconds between two batches."""

LEASE: Micros = 60 * SECOND
"""How long units of a process that has died count as connected."""

_RENEW = LEASE // 3
_SLICE = 2_000  # rows of one transaction, so that other writers do not wait for long


class Store(PresenceStore, TokenStore, Protocol):
    """The part of the accounts that is written to."""


class Presence:
    """`connected` and `disconnected` on the event loop; `flush` in a thread."""

    def __init__(self, clock: Callable[[], Micros] = now) -> None:
        self.process = secrets.token_hex(8)
        self._clock = clock
        self._connections: dict[str, int] = {}
        self._changed: set[str] = set()
        self._seen: dict[str, Micros] = {}
        self._sent: dict[str, Micros] = {}  # not written yet
        self._told: dict[str, Micros] = {}  # when it was written last, within `SEEN_EVERY`
        self._renewed = 0
        self._leaving = False

    def connected(self, unit: str) -> None:
        """Count a connection of a unit."""
        self._connections[unit] = self._connections.get(unit, 0) + 1
        self._touch(unit)

    def disconnected(self, unit: str) -> None:
        """Count the end of a connection."""
        left = self._connections.pop(unit, 1) - 1
        if left:
            self._connections[unit] = left
        self._touch(unit)

    def sent(self, units: Iterable[str]) -> None:
        """Note that units have sent something through a broker. Event loop only."""
        self._sent.update(dict.fromkeys(units, self._clock()))

    def _take_sent(self, everything: bool) -> None:
        """Have those written that were not for a while, or everything that waits."""
        moment = self._clock()
        self._told = {u: at for u, at in self._told.items() if at > moment - SEEN_EVERY}
        for unit in [u for u in self._sent if everything or u not in self._told]:
            self._seen[unit] = max(self._sent.pop(unit), self._seen.get(unit, 0))
            self._told[unit] = moment

    def _touch(self, unit: str) -> None:
        self._changed.add(unit)
        self._seen[unit] = self._clock()

    async def flush(self, store: Store, identification: Identification) -> None:
        """Write what has happened since the last call.

        Raises:
            StoreUnavailable: the catalog does not answer; the next call writes the rest.
        """
        self._take_sent(everything=self._leaving)
        used = identification.take_used()
        for unit, at in used.units.items():
            self._seen[unit] = max(at, self._seen.get(unit, 0))
        if used.tokens:
            await asyncio.to_thread(store.touch_tokens, used.tokens)
        changed, seen = list(self._changed), sorted(self._seen.items())
        online = [unit for unit in changed if unit in self._connections]
        offline = [unit for unit in changed if unit not in self._connections]
        due = bool(self._connections) and self._clock() >= self._renewed + _RENEW
        if changed or due:
            until = self._clock() + LEASE
            await asyncio.to_thread(store.renew_presence, self.process, until, online, offline)
            self._renewed = until - LEASE
            self._done(online, offline)
        for start in range(0, len(seen), _SLICE):
            part = seen[start : start + _SLICE]
            await asyncio.to_thread(store.touch_units, dict(part))
            for unit, at in part:
                if self._seen.get(unit) == at:
                    del self._seen[unit]

    def _done(self, online: list[str], offline: list[str]) -> None:
        """Forget what was written, where it did not change meanwhile."""
        self._changed -= {unit for unit in online if unit in self._connections}
        self._changed -= {unit for unit in offline if unit not in self._connections}

    async def leave(self, store: Store, identification: Identification) -> None:
        """Write that nothing is connected any more: the process stops."""
        self._changed |= set(self._connections)
        self._connections.clear()
        self._leaving = True
        try:
            await self.flush(store, identification)
        except Unavailable:
            return  # the lease runs out


async def keep(presence: Presence, store: Store, identification: Identification) -> None:
    """Write a batch every few seconds, for as long as the process runs."""
    while True:
        await asyncio.sleep(FLUSH)
        try:
            await presence.flush(store, identification)
        except Unavailable:
            continue  # written with the next batch
