"""Passes messages from the journal to policy tasks, wherever tasks absorb messages.

entries ──> Deduplicator ──> Chunk ──> Routes ──> (task, its messages)

shard              what a poll brought, judged for the first time or again
poison isolation   what one task absorbed since its checkpoint
rebuild, preview   the journal's past, with a ledger and a deduplicator of their own
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk, join
from lakebed.keeper.ledger import Ledger
from lakebed.vocabulary.messages import Entry

Read = Callable[[int, int], Sequence[Entry]]
"""Entries of one partition from an offset on, until about so many messages."""

Deduplicate = Callable[[Sequence[Entry]], NDArray[np.bool_] | None]
"""bool[n], which messages of some entries count; None where all do."""


def to_chunk(entries: Sequence[Entry], ledger: Ledger, deduplicate: Deduplicate) -> Chunk:
    """The messages of entries that count. It may be empty; its `end` says how far it reaches."""
    return divide(entries, ledger, deduplicate)[0]


def divide(
    entries: Sequence[Entry], ledger: Ledger, deduplicate: Deduplicate
) -> tuple[Chunk, Sequence[Chunk]]:
    """The messages of entries that count, and those that are duplicates."""
    chunk = join(entries, ledger)
    counts = deduplicate(entries)
    if counts is None or counts.all():
        return chunk, ()
    return chunk.take(np.flatnonzero(counts)), (chunk.take(np.flatnonzero(~counts)),)


def replay(
    read: Read, start: int, end: int, limit: int, ledger: Ledger, deduplicate: Deduplicate
) -> Iterator[Chunk]:
    """The messages from `start` on and before `end` that count, about `limit` at a time."""
    offset = start
    while offset < end and (entries := read(offset, limit)):
        offset = entries[-1].end
        yield to_chunk(entries, ledger, deduplicate).before(end)
