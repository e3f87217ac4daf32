"""Measures how close Kafka's retention is to deleting records that a consumer still needs.

    offset of the slowest consumer ──> age of the record there ──/── retention.ms
                                   └─> bytes from there on ──────/── retention.bytes (per partition)

A topic that Lakebed creates has no retention; one created by others may have.
"""

from collections.abc import Mapping

from lakebed.ports.journal.operating import Pressure
from lakebed.stores.journal.age import SharedTime
from lakebed.stores.journal.kafka import positions, records
from lakebed.stores.journal.kafka.configuration import Facts
from lakebed.stores.journal.kafka.reader import Readers
from lakebed.vocabulary.times import Micros

_OVERHEAD = 80  # bytes that Kafka stores beside the value and the headers of a record


class RetentionPressure:
    """Measures the pressure of one topic. Thread-safe.

    Attributes:
        facts: settings of the topic when they were last read; `TopicWatch` reads them.
        latest: the last measurement; None where the topic has no retention.
    """

    def __init__(self, facts: Facts, readers: Readers, time: SharedTime) -> None:
        self._readers, self._time = readers, time
        self.facts = facts
        self.latest: Pressure | None = None
        self._written: dict[int, tuple[int, Micros]] = {}
        """For each partition the oldest record that is needed, and when it was appended."""
        self._size = 0.0  # bytes of a record, moving average

    def learn(self, size: int) -> None:
        """Take the size in bytes of a record that was read or sent into the average."""
        self._size += (size + _OVERHEAD - self._size) / (16 if self._size else 1)

    def take(self, facts: Facts) -> None:
        """Measure by these settings from now on."""
        self.facts = facts

    def look(
        self, extent: Mapping[int, tuple[int, int]], groups: Mapping[str, Mapping[int, int]]
    ) -> None:
        """Measure `latest` again.

        Args:
            extent: for each partition the first record held and the one behind the last.
            groups: for each consumer its offsets.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        if self.facts.retention_ms < 0 and self.facts.retention_bytes < 0:
            self.latest = None
            return
        full = 0.0
        for partition, (first, end) in extent.items():
            offsets = [offsets.get(partition, 0) for offsets in groups.values()]
            needed = max(first, positions.record_of(min(offsets))) if offsets else end
            if needed < end:
                full = max(full, self._full(partition, needed, end))
        self.latest = Pressure(min(full, 1.0), "retention")

    def _full(self, partition: int, needed: int, end: int) -> float:
        age = size = 0.0
        at = self._appended(partition, needed, end)
        if self.facts.retention_ms >= 0 and at is not None:
            age = (self._time.reached() - at) / (max(1, self.facts.retention_ms) * 1000)
        if self.facts.retention_bytes >= 0:
            size = (end - needed) * self._size / max(1, self.facts.retention_bytes)
        return max(age, size)

    def _appended(self, partition: int, record: int, end: int) -> Micros | None:
        """When a record was appended; remembered until another record is asked for."""
        known = self._written.get(partition)
        if known is not None and known[0] == record:
            return known[1]
        for _, message in self._readers.records(partition, record, end):
            at = message.timestamp()[1] * 1000
            self._written[partition] = (record, at)
            self.learn(records.size(message))
            return at
        return None
