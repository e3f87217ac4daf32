"""Keeps the newest entries in memory, so that readers at the tail need no disk and no decoding."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lakebed.vocabulary.messages import Batch, Channel, Entry

_ENTRY_COST = 1024  # bytes, about, that a batch takes besides its messages
_MESSAGE_COST = 80  # and a message besides its payload
READ_BYTES = 32 * 2**20
"""Most bytes of a single read, whatever its limit in messages: payloads may be large."""


def weight(batch: Batch) -> int:
    """The approximate bytes of memory of a batch."""
    return _ENTRY_COST + _MESSAGE_COST * len(batch) + sum(map(len, batch.payloads))


def cut(entry: Entry, offset: int) -> Entry:
    """Drop an entry's messages before `offset`."""
    if offset <= entry.offset:
        return entry
    batch = entry.batch
    k = min(offset - entry.offset, len(batch))
    rest = batch.behind(k)
    return Entry(entry.partition, offset, rest, entry.end - offset - len(rest), entry.release)


def stored_once(batch: Batch, fresh: Sequence[int]) -> Batch:
    """Drop the keys, which only the append needs, and note all but `fresh` as duplicates."""
    sparse = batch.sparse._replace(keys=None)
    if len(fresh) == len(batch):
        return replace(batch, sparse=sparse)
    duplicate = np.fromiter(map(len, batch.payloads), np.int64, len(batch))
    duplicate[np.array(fresh, np.intp)] = -1
    again = (duplicate >= 0).tolist()
    payloads = [b"" if is_one else p for is_one, p in zip(again, batch.payloads, strict=True)]
    if sparse.ids is not None:
        ids = ["" if is_one else id for is_one, id in zip(again, sparse.ids, strict=True)]
        sparse = sparse._replace(ids=ids)
    return replace(batch, payloads=payloads, sparse=sparse._replace(duplicate=duplicate))


def count_new(batch: Batch) -> int:
    """Count the messages that are not duplicates."""
    counts = batch.sparse.counts
    return len(batch) if counts is None else int(np.count_nonzero(counts))


def count_channels(entries: Iterable[Entry]) -> Counter[Channel]:
    """Count the messages of some entries by channel."""
    counts: Counter[Channel] = Counter()
    for entry in entries:
        batch = entry.batch
        numbers = np.bincount(batch.channel, minlength=len(batch.channels)).tolist()
        counts.update(dict(zip(batch.channels, numbers, strict=True)))
    return +counts


class Recent:
    """The newest entries, without a gap, up to the end. Callers hold one lock around each call.

    Args:
        budget: bytes of memory; beyond it the oldest entries are evicted. None for no limit.
    """

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._entries: list[Entry] = []
        self._offsets: list[int] = []
        self._weights: list[int] = []
        self._total = 0

    @property
    def start(self) -> int | None:
        """The first offset in memory; None if there is none."""
        return self._offsets[0] if self._offsets else None

    @property
    def weight(self) -> int:
        return self._total

    def push(self, entry: Entry) -> None:
        cost = weight(entry.batch)
        self._entries.append(entry)
        self._offsets.append(entry.offset)
        self._weights.append(cost)
        self._total += cost
        if self._budget is not None and self._total > self._budget:
            self._drop_to(self._budget * 7 // 8)  # an eighth at a time: each removal moves the rest

    def read(self, offset: int, limit: int) -> list[Entry] | None:
        """Read entries from `offset` on, the first cut; None if that offset was evicted."""
        if not self._offsets or offset < self._offsets[0]:
            return None
        found: list[Entry] = []
        messages = size = 0
        at = bisect_right(self._offsets, offset) - 1
        while at < len(self._entries) and messages < limit and size < READ_BYTES:
            entry = self._entries[at]
            if entry.end > offset:
                found.append(cut(entry, offset))
                messages += len(found[-1].batch)
                size += self._weights[at]
            at += 1
        return found

    def since(self, offset: int) -> list[Entry]:
        """All entries in memory from `offset` on, the first cut."""
        at = max(0, bisect_right(self._offsets, offset) - 1)
        return [cut(entry, offset) for entry in self._entries[at:] if entry.end > offset]

    def drop(self, count: int) -> list[Entry]:
        """Evict the oldest `count` entries and return them."""
        gone = self._entries[:count]
        self._total -= sum(self._weights[:count])
        del self._entries[:count], self._offsets[:count], self._weights[:count]
        return gone

    def release(self, below: int) -> None:
        """Evict entries below an offset, except the newest: an eighth of the budget stays full."""
        least = 0 if self._budget is None else self._budget // 8
        count, left = 0, self._total
        end = bisect_right(self._offsets, below) - 1  # the entry with `below` stays
        while count < end and left - self._weights[count] >= least:
            left -= self._weights[count]
            count += 1
        self.drop(count)

    def entries(self) -> list[Entry]:
        return list(self._entries)

    def _drop_to(self, total: int) -> None:
        count, left = 0, self._total
        while left > total and count < len(self._entries):
            left -= self._weights[count]
            count += 1
        self.drop(count)
