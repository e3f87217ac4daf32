"""`last_n`: the newest N records of every topic, in a ring that trims itself.

The k-th record of a topic goes to slot k mod N of its ring, and the table keeps one row per slot:
what a merge throws away is what has left the ring. A ring is named by the offset of its first
record, so a new ring never overwrites the slots of another.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from lakebed.kinds.buffer import BufferedState
from lakebed.kinds.columns import plain, record_columns, times
from lakebed.kinds.kind import (
    DocumentKey,
    Effect,
    ErasedRange,
    Kind,
    Rows,
    Site,
    State,
    Values,
)
from lakebed.kinds.tables import RECORD, TYPES, Column, Table
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import SECOND

LAST_N = Table(
    "last_n",
    {**RECORD, "received": Column("time"), "ring": Column("int64"), "slot": Column("uint32")},
    ("owner", "policy", "topic", "partition", "ring", "slot", "field"),
    version="offset",
)


class LastNState(BufferedState):
    def __init__(self, site: Site) -> None:
        assert site.policy.count is not None
        super().__init__(site, LAST_N)
        self._size = site.policy.count
        self._rings: dict[int, tuple[int, int]] = {}  # channel -> (ring, records so far)

    def _rows(self, values: Values) -> pa.Table:
        rings, numbers, ends = self._assign_slots(values)
        columns = record_columns(self._site, values) | {
            "received": times(values.received),
            "ring": plain(rings),
            "slot": plain((numbers % self._size).astype(np.uint32)),
        }
        stays = pa.array(numbers >= ends - self._size)  # the rest has left the ring already
        return pa.table(columns).filter(stays)

    def _assign_slots(self, values: Values) -> tuple[Ints, Ints, Ints]:
        """For each value its ring, its number in the ring from 0, and the ring's new length."""
        rings, numbers, ends = (np.empty(len(values), np.int64) for _ in range(3))
        order = np.argsort(values.channel, kind="stable")
        channels, starts = np.unique(values.channel[order], return_index=True)
        stops = [*starts.tolist()[1:], len(order)]
        for channel, start, stop in zip(channels.tolist(), starts.tolist(), stops, strict=True):
            rows = order[start:stop]
            ring, count = self._rings.get(channel, (int(values.offset[rows[0]]), 0))
            rings[rows] = ring
            numbers[rows] = np.arange(count, count + len(rows))
            ends[rows] = count + len(rows)
            self._rings[channel] = (ring, count + len(rows))
        return rings, numbers, ends

    def full(self) -> set[tuple[str, str]]:
        """Topic and field of rings that have all of their records."""
        site = self._site
        return {
            (site.topic_of(channel), site.field_of(channel))
            for channel, (_, count) in self._rings.items()
            if count >= self._size
        }

    def snapshot(self) -> bytes:
        rings = [(channel, *ring) for channel, ring in self._rings.items()]
        return msgspec.msgpack.encode((self._size, rings))

    def restore(self, state: bytes) -> None:
        size, rings = msgspec.msgpack.decode(state)
        if size == self._size:  # another N: slots would clash, so new rings are opened
            self._rings = {channel: (ring, count) for channel, ring, count in rings}

    def erase(self, gone: ErasedRange) -> None:
        # in the old ring the next record would take the slot of one that still is among the newest
        for channel in gone.channels:
            self._rings.pop(channel, None)

    def renumber(self, codes: Codes) -> None:
        moved = [(int(codes[channel]), ring) for channel, ring in self._rings.items()]
        self._rings = {code: ring for code, ring in moved if code >= 0}


def _worth(later: State, effects: Sequence[Effect]) -> list[Effect]:
    """Without records of topics that have N newer ones."""
    assert isinstance(later, LastNState)
    full = later.full()
    return [_without(effect, full) if full else effect for effect in effects]


def _without(effect: Effect, full: set[tuple[str, str]]) -> Effect:
    assert isinstance(effect, Rows)
    rows = effect.rows
    fields = rows["field"].to_pylist() if "field" in rows.column_names else [""] * len(rows)
    stays = [pair not in full for pair in zip(rows["topic"].to_pylist(), fields, strict=True)]
    return Rows(effect.table, rows.filter(pa.array(stays, pa.bool_())))


KIND = Kind(
    name="last_n",
    types=tuple(TYPES),
    keys={"count": DocumentKey(needed="1000"), "buffer": DocumentKey(default=SECOND)},
    open=LastNState,
    worth=_worth,
    answers="newest",
    rank=3,
    tables=dict.fromkeys(TYPES, LAST_N),
)
