"""Counts the messages that this process appends, so that lost ones can be counted.

durable record ──> the open range of its partition ──once a second──> catalog

Kafka's offsets count records, and a record holds many messages: their number is unknown once it is
gone. The latest ranges have the number for each record. Older ones have only the sum, so that a
backlog of days takes little space.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakebed.ports.catalog.journal import Appended
from lakebed.stores.journal.kafka import positions

_SECONDS = 60.0  # that a range covers at the most,
_RECORDS = 4096  # or so many records
_DETAILED = 64  # ranges of a partition that say how many messages each record has
_MOST = 10_000  # ranges that wait while the catalog is away


@dataclass(slots=True)
class _Range:
    """Records that were appended one after the other.

    Attributes:
        first, last: records.
        begun: monotonic seconds.
        counts: each record with its messages by owner; None for an older range.
    """

    partition: int
    first: int
    last: int
    begun: float
    records: int = 0
    owners: Counter[str] = field(default_factory=Counter)
    counts: list[tuple[int, Mapping[str, int]]] | None = field(default_factory=list)

    def add(self, record: int, owners: Mapping[str, int]) -> None:
        self.last = record
        self.records += 1
        self.owners.update(owners)
        if self.counts is not None:
            self.counts.append((record, owners))

    def appended(self) -> Appended:
        start, end = positions.pack(self.first), positions.pack(self.last + 1)
        counts = tuple((positions.pack(record), owners) for record, owners in self.counts or ())
        return Appended(self.partition, start, end, self.records, dict(self.owners), counts)


class AppendedRanges:
    """Ranges of records by partition, and which of them have changed. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detailed: dict[int, deque[_Range]] = {}
        self._changed: dict[tuple[int, int], _Range] = {}

    def note(self, partition: int, record: int, owners: Mapping[str, int]) -> None:
        """Count a durable record; `owners` has its number of messages by owner."""
        at = time.monotonic()
        with self._lock:
            ranges = self._detailed.setdefault(partition, deque())
            newest = ranges[-1] if ranges else None
            if (
                newest is None
                or at - newest.begun > _SECONDS
                or newest.records >= _RECORDS
                or record < newest.last  # of another topic
            ):
                newest = _Range(partition, record, record, at)
                ranges.append(newest)
                if len(ranges) > _DETAILED:
                    old = ranges.popleft()
                    old.counts = None
                    self._change(old)
            newest.add(record, owners)
            self._change(newest)

    def take(self) -> list[Appended]:
        """Return the ranges that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return [each.appended() for each in changed.values()]

    def put_back(self, taken: list[Appended]) -> None:
        """Return these again by the next `take`, because they could not be saved."""
        with self._lock:
            for each in taken:
                first, last = positions.record_of(each.start), positions.record_of(each.end) - 1
                counts = [(positions.record_of(offset), owners) for offset, owners in each.counts]
                saved = _Range(
                    each.partition, first, last, 0.0, each.records, Counter(each.owners), counts
                )
                self._changed.setdefault((each.partition, first), saved)

    def _change(self, changed: _Range) -> None:
        if len(self._changed) < _MOST:
            self._changed[changed.partition, changed.first] = changed
