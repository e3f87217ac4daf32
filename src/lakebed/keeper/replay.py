"""Passes messages from the journal to policy tasks, wherever tasks absorb messages.

entries ──> Deduplicator ──> Chunk ──> not parked ──> Routes ──> (task, its messages)

shard              what a poll brought, judged for the first time or again
poison isolation   what one task absorbed since its checkpoint
rebuild, preview   the journal's past, with a ledger and a deduplicator of their own
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk, join
from lakebed.keeper.ledger import Ledger
from lakebed.vocabulary.attributes import Pairs
from lakebed.vocabulary.limits import PARKED, RELEASED
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import UNSET, Micros

Read = Callable[[int, int], Sequence[Entry]]
"""Entries of one partition from an offset on, until about so many messages."""

Deduplicate = Callable[[Sequence[Entry]], NDArray[np.bool_] | None]
"""bool[n], which messages of some entries count; None where all do."""


class Divided(NamedTuple):
    """What becomes of the messages of entries.

    Attributes:
        counted: those that policies see. It may be empty; its `end` says how far it reaches.
        duplicates: those that were there before.
        parked: those that were over a limit when they were received; each once.
    """

    counted: Chunk
    duplicates: Chunk | None = None
    parked: Chunk | None = None


def to_chunk(entries: Sequence[Entry], ledger: Ledger, deduplicate: Deduplicate) -> Chunk:
    """The messages of entries that policies see."""
    return divide(entries, ledger, deduplicate).counted


def divide(entries: Sequence[Entry], ledger: Ledger, deduplicate: Deduplicate) -> Divided:
    """Divide the messages of entries by what becomes of them."""
    chunk = join(entries, ledger)
    counts = deduplicate(entries)
    duplicates = parked = None
    if counts is not None and not counts.all():
        duplicates = chunk.take(np.flatnonzero(~counts))
        chunk = chunk.take(np.flatnonzero(counts))
    held = decided(chunk, PARKED)
    if held is not None:
        parked = chunk.take(np.flatnonzero(held))
        chunk = chunk.take(np.flatnonzero(~held))
    return Divided(_as_if_in_time(chunk), duplicates, parked)


def _as_if_in_time(chunk: Chunk) -> Chunk:
    """The chunk with the receive times that released messages had when they were parked."""
    released = decided(chunk, RELEASED)
    attributes = chunk.sparse.attributes
    if released is None or attributes is None:
        return chunk
    moments = np.array([_parked_at(one.decisions) for one in attributes.table], np.int64)
    received = np.where(released, moments[attributes.codes], chunk.received)
    event = chunk.sparse.event
    without = released if event is None else released & np.equal(event, UNSET)
    return replace(chunk, received=received, times=np.where(without, received, chunk.times))


def _parked_at(decisions: Pairs) -> Micros:
    return next((int(v.rpartition(":")[2]) for name, v in decisions if name == RELEASED), 0)


def decided(chunk: Chunk, name: str) -> NDArray[np.bool_] | None:
    """bool[n], for which messages this decision was made when they were received; None: for none.

    Messages with equal attributes share them, so this costs a look at each distinct value.
    """
    attributes = chunk.sparse.attributes
    if attributes is None:
        return None
    table = [
        bool(one.decisions) and any(name == known for known, _ in one.decisions)
        for one in attributes.table
    ]
    if not any(table):
        return None
    found: NDArray[np.bool_] = np.array(table, np.bool_)[attributes.codes]
    return found if found.any() else None


def replay(
    read: Read, start: int, end: int, limit: int, ledger: Ledger, deduplicate: Deduplicate
) -> Iterator[Chunk]:
    """The messages from `start` on and before `end` that count, about `limit` at a time."""
    offset = start
    while offset < end and (entries := read(offset, limit)):
        offset = entries[-1].end
        yield to_chunk(entries, ledger, deduplicate).before(end)
