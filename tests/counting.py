"""A consumer on one page: it counts the messages of each topic, into a SQLite file.

    entries ──> Deduplicator ──> counts ──flush──> rows (partition, owner, topic, offset, count)
                                    └──checkpoint──> catalog

A row is the whole count up to an offset, and gives way only to one of a later offset. So rows that
are written again after a crash, or by a worker that was taken over, change nothing.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np

from lakebed.consuming import deduplication
from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.deduplication import Deduplicator
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.times import DAY, Micros

CONSUMER = "counting"
_PART = "counts"
_TABLE = """CREATE TABLE IF NOT EXISTS counts (partition INTEGER, owner TEXT, topic TEXT,
    offset INTEGER, count INTEGER, PRIMARY KEY (partition, owner, topic))"""
_PUT = """INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
    SET offset = excluded.offset, count = excluded.count WHERE excluded.offset > offset"""


class Counting:
    """Implements `consuming.worker.PartitionWorker`."""

    def __init__(self, partition: int, checkpoints: PartitionCheckpoints, file: Path) -> None:
        self.offset = self._saved = 0
        self._partition, self._checkpoints, self._file = partition, checkpoints, file
        self._deduplicator = Deduplicator(DAY)
        self._counts: Counter[Channel] = Counter()
        self._waiting: set[Channel] = set()
        self._due: Micros | None = None

    def load(self) -> int:
        parts = {part.part: part for part in self._checkpoints.load()}
        own = parts.get(_PART)
        if own is not None:
            self.offset = self._saved = own.offset
            counts = msgspec.msgpack.decode(own.state, type=list[tuple[str, str, int]])
            self._counts.update({Channel(*channel): count for *channel, count in counts})
        keys = {name: part for name, part in parts.items() if deduplication.is_part(name)}
        self._deduplicator.restore(keys, self.offset)
        return self.offset

    def absorb(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            batch, counted = entry.batch, self._deduplicator.judge([entry])
            codes = batch.channel if counted is None else batch.channel[counted]
            for code, count in enumerate(np.bincount(codes, minlength=len(batch.channels))):
                if count:
                    self._counts[batch.channels[code]] += int(count)
                    self._waiting.add(batch.channels[code])
                    self._due = self._due or int(batch.received[0])
            self.offset = entry.end

    def due(self) -> Micros | None:
        return self._due

    def flush(self, now: Micros, final: bool = False) -> None:
        if self._due is None or not (final or self._due <= now):
            return
        rows = [(self._partition, *c, self.offset, self._counts[c]) for c in self._waiting]
        with closing(sqlite3.connect(self._file, timeout=60)) as file, file:
            file.execute(_TABLE)
            file.executemany(_PUT, rows)
        self._waiting, self._due = set(), None

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        if self.offset > self._saved and not self._waiting:
            counts = [(*channel, count) for channel, count in self._counts.items()]
            keys, gone = self._deduplicator.parts(floor=self._saved)
            own = Checkpoint(_PART, self.offset, msgspec.msgpack.encode(counts))
            self._checkpoints.save([own, *keys], gone)
            self._deduplicator.saved()
            self._saved = self.offset
        return self._saved


def read(file: Path) -> Counter[Channel]:
    """What is counted so far, over all partitions."""
    counts: Counter[Channel] = Counter()
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        connection.execute(_TABLE)
        for owner, topic, count in connection.execute("SELECT owner, topic, count FROM counts"):
            counts[Channel(owner, topic)] += count
    return counts
