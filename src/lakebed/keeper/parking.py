"""Parked stretches: what was over a limit, is in the journal, and is kept by no policy yet.

    parked messages ──> [ stretch: offsets, times, topics ] ──> the journal keeps them
                              │ released, dropped, expired
                              └──> let go of; a gap stays in answers

They are saved with the ledger, those of one owner in one checkpoint part, so a replay changes
nothing. Their number is bounded: `MOST` an owner and partition; then stretches grow longer.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np

from lakebed.keeper.chunk import Chunk
from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader
from lakebed.vocabulary.limits import PARKED
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import MINUTE, Micros

CONSUMER = "parked"
"""The name under which they are saved, beside the keeper's own."""

MOST = 1000  # stretches and gaps of one owner
_SILENCE = MINUTE  # between two messages of one stretch
_SLOT = 10 * MINUTE  # of the clock, in which a stretch lies
_TOPICS = 1000  # of one stretch that are named; with more, it may concern any
_UNITS = 100
_GAPS = 500  # of them, those that were let go of


class Stretch(msgspec.Struct):
    """Parked messages of one owner, from one offset of a partition to another, both included.

    Attributes:
        since, until: receive times of the first and the last message.
        topics: None where they are too many to name.
        units: the uuids of those that sent them, as far as there are not too many.
        state: "parked"; "dropped" by request, or "expired" where the journal could not keep them.
    """

    owner: str
    partition: int
    first: int
    last: int
    since: Micros
    until: Micros
    messages: int = 0
    bytes: int = 0
    topics: list[str] | None = msgspec.field(default_factory=list)
    units: list[str] = msgspec.field(default_factory=list)
    state: str = "parked"

    @property
    def id(self) -> str:
        return f"{self.partition}:{self.first}"

    def overlaps(self, start: Micros | None, end: Micros | None) -> bool:
        """Whether it has messages at `start` or later, and before `end`."""
        return (start is None or self.until >= start) and (end is None or self.since < end)


class Parking:
    """The stretches of one partition. Used by the keeper's thread."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._owners: dict[str, list[Stretch]] = {}
        self._changed: set[str] = set()

    @property
    def oldest(self) -> int | None:
        """The offset from which on the journal must keep what it has."""
        return min((stretch.first for stretch in self.stretches()), default=None)

    def stretches(self) -> list[Stretch]:
        """Those that are parked."""
        every = chain.from_iterable(self._owners.values())
        return [stretch for stretch in every if stretch.state == "parked"]

    def note(self, chunk: Chunk, channels: Sequence[Channel]) -> None:
        """Add parked messages, each once, in the order of the journal."""
        owners: dict[str, list[int]] = {}
        for row, code in enumerate(chunk.channel.tolist()):
            owners.setdefault(channels[code].owner, []).append(row)
        for owner, rows in owners.items():
            theirs = np.array(rows, np.intp)
            received = chunk.received[theirs]
            ends = (np.diff(received) > _SILENCE) | (np.diff(received // _SLOT) != 0)
            for piece in np.split(theirs, np.flatnonzero(ends) + 1):
                self._add(owner, chunk.take(piece), channels)

    def _add(self, owner: str, chunk: Chunk, channels: Sequence[Channel]) -> None:
        since, until = int(chunk.received.min()), int(chunk.received.max())
        first, last = int(chunk.offset[0]), int(chunk.offset[-1])
        known = self._owners.setdefault(owner, [])
        stretch = known[-1] if known and known[-1].state == "parked" else None
        if stretch is None or _begins(stretch, since, len(known)):
            stretch = Stretch(owner, self._partition, first, last, since, until)
            known.append(stretch)
        stretch.last = last
        stretch.since, stretch.until = min(stretch.since, since), max(stretch.until, until)
        stretch.messages += len(chunk)
        stretch.bytes += int(chunk.size.sum())
        codes = np.unique(chunk.channel).tolist()
        stretch.topics = _more(stretch.topics, [channels[code].topic for code in codes])
        for unit in _units(chunk):
            if unit not in stretch.units and len(stretch.units) < _UNITS:
                stretch.units.append(unit)
        self._changed.add(owner)

    def let_go(self, owner: str, first: int, last: int, messages: int, size: int,
               state: str | None) -> bool:  # fmt: skip
        """Keep a stretch no longer; what was parked in it behind `last` stays a stretch.

        Args:
            messages, size: how many messages there were up to `last`, and their bytes.
            state: remembered for the gap in answers; None where there is none.

        Returns:
            False where there is no such stretch any more.
        """
        known = self._owners.get(owner, [])
        found = next((s for s in known if s.first == first and s.state == "parked"), None)
        if found is None:
            return False
        at = known.index(found)
        gone = []
        if state is not None:
            gone = [msgspec.structs.replace(found, messages=messages, bytes=size, state=state)]
            gone[0].last = min(found.last, last)
        if found.last <= last:
            known[at : at + 1] = gone
        else:
            found.first = last + 1
            found.messages -= messages
            found.bytes -= size
            known[at:at] = gone
        gaps = [stretch for stretch in known if stretch.state != "parked"]
        for stretch in gaps[:-_GAPS]:
            known.remove(stretch)
        self._changed.add(owner)
        return True

    # --- checkpoints ------------------------------------------------------------------------------

    def take_changed(self, offset: int) -> list[Checkpoint]:
        """A part for each owner whose stretches are others than those taken before."""
        changed, self._changed = sorted(self._changed), set()
        encode = msgspec.msgpack.encode
        return [Checkpoint(owner, offset, encode(self._owners[owner])) for owner in changed]

    def restore(self, parts: Iterable[Checkpoint]) -> None:
        for part in parts:
            self._owners[part.part] = decode(part)


def decode(part: Checkpoint) -> list[Stretch]:
    return msgspec.msgpack.decode(part.state, type=list[Stretch])


def load(store: CheckpointReader, owner: str | None = None) -> list[Stretch]:
    """The stretches of an owner, or of all, over all partitions, as last saved, oldest first."""
    found = [
        stretch
        for parts in store.checkpoints(CONSUMER, part=owner).values()
        for part in parts
        for stretch in decode(part)
    ]
    return sorted(found, key=lambda stretch: (stretch.since, stretch.partition, stretch.first))


class Outlook(NamedTuple):
    """What becomes of parked messages that nobody releases or drops: how many, by what is near.

    Attributes:
        waiting: parked.
        expiring: of them, those that expire within a tenth of the time that they are kept for.
        expired: of late; older ones are no news.
    """

    waiting: int
    expiring: int
    expired: int


def outlook(stretches: Iterable[Stretch], now: Micros, parked_for: Micros) -> Outlook:
    """Look at stretches that are kept for `parked_for`."""
    waiting = expiring = expired = 0
    for stretch in stretches:
        if stretch.state == "parked":
            waiting += stretch.messages
            if stretch.until < now - parked_for + parked_for // 10:
                expiring += stretch.messages
        elif stretch.state == "expired" and stretch.until >= now - 2 * parked_for:
            expired += stretch.messages
    return Outlook(waiting, expiring, expired)


def _begins(last: Stretch, since: Micros, count: int) -> bool:
    """Whether what was received at `since` begins a new stretch, where there are so many."""
    if count >= MOST:
        return False
    return since - last.until > _SILENCE or since // _SLOT != last.since // _SLOT


def _more(known: list[str] | None, topics: Sequence[str]) -> list[str] | None:
    if known is None:
        return None
    new = set(topics).difference(known)
    return None if len(known) + len(new) > _TOPICS else known + sorted(new)


def _units(chunk: Chunk) -> set[str]:
    attributes = chunk.sparse.attributes
    assert attributes is not None
    used = np.unique(attributes.codes).tolist()
    return {
        unit for code in used for name, unit in attributes.table[code].decisions
        if name == PARKED and unit
    }  # fmt: skip
