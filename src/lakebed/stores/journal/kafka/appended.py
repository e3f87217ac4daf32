"""Counts what this process has appended, so that what vanishes unread can be counted as lost.

durable record ──> the open stretch of its partition ──once a second──> catalog

Kafka's offsets count records, and a record holds many messages: nobody can tell how many once it
is gone. The latest stretches say it of each record. Older ones give the sum alone, so that a
backlog of days takes little room.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from lakebed.ports.catalog.journal import Appended
from lakebed.stores.journal.kafka import positions

_SECONDS = 60.0  # that a stretch covers at the most,
_RECORDS = 4096  # or so many records
_DETAILED = 64  # stretches of a partition that say how many messages each record has
_MOST = 10_000  # stretches that wait while the catalog is away


@dataclass(slots=True)
class _Stretch:
    """Attributes:
    first, last: records.
    begun: monotonic seconds.
    counts: each record with its messages by owner; None once it is forgotten.
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


class AppendedStretches:
    """Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detailed: dict[int, deque[_Stretch]] = {}
        self._changed: dict[tuple[int, int], _Stretch] = {}

    def note(self, partition: int, record: int, owners: Mapping[str, int]) -> None:
        """A record is durable; `owners` are its messages by owner."""
        at = time.monotonic()
        with self._lock:
            stretches = self._detailed.setdefault(partition, deque())
            stretch = stretches[-1] if stretches else None
            if (
                stretch is None
                or at - stretch.begun > _SECONDS
                or stretch.records >= _RECORDS
                or record < stretch.last  # of another topic
            ):
                stretch = _Stretch(partition, record, record, at)
                stretches.append(stretch)
                if len(stretches) > _DETAILED:
                    old = stretches.popleft()
                    old.counts = None
                    self._change(old)
            stretch.add(record, owners)
            self._change(stretch)

    def take(self) -> list[Appended]:
        """Those that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return [stretch.appended() for stretch in changed.values()]

    def put_back(self, taken: list[Appended]) -> None:
        """They could not be saved: take them again."""
        with self._lock:
            for each in taken:
                first, last = positions.record_of(each.start), positions.record_of(each.end) - 1
                counts = [(positions.record_of(offset), owners) for offset, owners in each.counts]
                saved = _Stretch(
                    each.partition, first, last, 0.0, each.records, Counter(each.owners), counts
                )
                self._changed.setdefault((each.partition, first), saved)

    def _change(self, stretch: _Stretch) -> None:
        if len(self._changed) < _MOST:
            self._changed[stretch.partition, stretch.first] = stretch
