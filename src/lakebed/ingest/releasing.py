"""Releases parked messages: appends copies of them, which the keeper takes as if they were in time.

    order ──> entries of its stretch ──> copies: new messages with the decision `released`
                                             │ the old receive time, and a key of the old offset
                                             └──> intake ──durable──> the order advances

A crash between an append and the advance appends copies again; their keys are known then, so each
is stored once, within the horizon of ids.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from lakebed.ingest.intake import Intake
from lakebed.ingest.keys import id_prefix, parked_key
from lakebed.ingest.offers import Columns
from lakebed.ports.catalog.parking import ParkedOrder, ParkedOrders
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.limits import PARKED, RELEASED
from lakebed.vocabulary.messages import ID_KEY, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import SECOND, UNSET, now

log = structlog.get_logger(__name__)

_READ = 2000  # messages read and appended at a time
_LEASE = 60 * SECOND  # how long an order stays with a process that does not advance
_LOOK = 1.0  # seconds between two looks for orders
_TIMEOUT = 30.0  # seconds for one append


class Reading(JournalReader, Protocol):
    """What is asked of the journal."""


@dataclass(slots=True)
class _Copying:
    """Copies of the messages of one stretch, piece by piece."""

    order: ParkedOrder
    ids: set[bytes] = field(default_factory=set)
    held: set[bytes] = field(default_factory=set)

    def copy(self, entries: Sequence[Entry]) -> Columns:
        found = list(self._chosen(entries))
        channels = [entry.batch.channels[int(entry.batch.channel[row])] for entry, row, _ in found]
        events, ids, keys, attributes = [], [], [], []
        mine = id_prefix(self.order.owner)  # behind it an id is apart from those of other senders
        for entry, row, own in found:
            batch, sparse = entry.batch, entry.batch.sparse
            offset = entry.offset + row
            id = sparse.ids[row] if sparse.ids is not None else ""
            events.append(UNSET if sparse.event is None else int(sparse.event[row]))
            ids.append(id)
            key = sparse.keys[row] if sparse.keys is not None else b""
            # a journal without keys has each id once, and needs none to be told apart
            named = key.removeprefix(mine).decode() if key.startswith(mine) else ""
            keys.append(parked_key(self.order.owner, self.order.partition, offset, named))
            attributes.append(self._released(own, int(batch.received[row])))
        payloads = [entry.batch.payloads[row] for entry, row, _ in found]
        sparse = Sparse(events, ids, keys, attributes=Coded.of(attributes))
        return Columns(channels, payloads, now(), sparse)

    def _chosen(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, Attributes]]:
        """The parked messages of the owner, without those that stand there a second time."""
        for entry in entries:
            batch = entry.batch
            attributes, keys = batch.sparse.attributes, batch.sparse.keys
            again = batch.sparse.duplicate
            for row in range(len(batch)) if attributes is not None else ():
                own = attributes[row]  # type: ignore[index]  # it is not None here
                if (
                    entry.offset + row <= self.order.last
                    and batch.channels[int(batch.channel[row])].owner == self.order.owner
                    and any(name == PARKED for name, _ in own.decisions)
                    and not (again is not None and again[row])
                    and not (keys is not None and self._repeats(keys[row]))
                ):
                    yield entry, row, own
            self.held.difference_update(entry.release)

    def _repeats(self, key: bytes) -> bool:
        seen = self.ids if key.startswith(ID_KEY) else self.held
        if not key or key not in seen:
            seen.add(key)
            return False
        return True

    def _released(self, own: Attributes, received: int) -> Attributes:
        others = tuple(pair for pair in own.decisions if pair[0] != PARKED)
        position = f"{self.order.partition}:{self.order.first}:{received}"
        return own._replace(decisions=(*others, (RELEASED, position)))


class Releasing:
    """Carries out releases, of any owner, one after the other."""

    def __init__(self, orders: ParkedOrders, journal: Reading, intake: Intake) -> None:
        self._orders, self._journal, self._intake = orders, journal, intake
        self._wake = asyncio.Event()

    def look_now(self) -> None:
        """Look for orders at once. Event loop only."""
        self._wake.set()

    async def run(self) -> None:
        """Look for orders until cancelled."""
        while True:
            try:
                worked = await self.work()
            except LakebedError as error:
                worked = False
                log.warning("parked messages wait to be released", error=str(error))
            if not worked:
                self._wake.clear()
                try:
                    async with asyncio.timeout(_LOOK):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def work(self) -> bool:
        """Carry out one order; False where there is none."""
        moment = now()
        claim = self._orders.claim_release
        order = await asyncio.to_thread(claim, moment, moment + _LEASE)
        if order is None:
            return False
        await self._release(order)
        return True

    async def _release(self, order: ParkedOrder) -> None:
        copying = _Copying(order)
        offset, copied = max(order.first, order.next), 0
        while offset <= order.last:
            read = self._journal.entries
            entries = await asyncio.to_thread(read, order.partition, offset, _READ)
            if not entries:
                log.error("parked messages are not in the journal any more", owner=order.owner,
                          partition=order.partition, offset=offset)  # fmt: skip
                break
            columns = copying.copy(entries)
            if columns.payloads:
                await self._intake.append(columns, _TIMEOUT)
            copied += len(columns.payloads)
            offset = entries[-1].end
            await self._advance(order, offset, done=False)
        await self._advance(order, offset, done=True)
        log.info("parked messages are released", owner=order.owner, messages=copied)

    async def _advance(self, order: ParkedOrder, offset: int, *, done: bool) -> None:
        until = now() + _LEASE
        await asyncio.to_thread(self._orders.advance_release, order, offset, done, until)
