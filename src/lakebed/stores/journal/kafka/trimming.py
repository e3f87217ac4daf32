"""Deletes records that no consumer needs any more.

deleted up to the least of: the offsets that all consumers have committed
                            the first record younger than the journal's span
                            the retention pins of this process
"""

from collections.abc import Mapping

from lakebed.ports.catalog.journal import JournalRecord
from lakebed.stores.journal.age import SharedTime
from lakebed.stores.journal.kafka import positions
from lakebed.stores.journal.kafka.extent import LogExtent
from lakebed.stores.journal.kafka.groups import ConsumerGroups
from lakebed.stores.journal.kafka.pressure import RetentionPressure
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.stores.journal.pins import RetentionPins
from lakebed.vocabulary.times import Micros


class Trimmer:
    """One thread at a time.

    Args:
        span: microseconds for which the journal keeps what all consumers have read.
        record: the catalog, or None.

    Attributes:
        behind: for each consumer about how many messages it had not read when it was trimmed last.
    """

    def __init__(
        self,
        topic: Topic,
        groups: ConsumerGroups,
        extent: LogExtent,
        *,
        time: SharedTime,
        span: Micros,
        pins: RetentionPins,
        pressure: RetentionPressure,
        record: JournalRecord | None,
    ) -> None:
        self._topic, self._groups, self._extent = topic, groups, extent
        self._time, self._span, self._pins = time, span, pins
        self._pressure, self._record = pressure, record
        self.behind: dict[str, int] = {}

    def trim(self) -> int:
        """Delete, and return about how many messages that were.

        Raises:
            StoreUnavailable: Kafka or the catalog does not answer.
        """
        extent = self._extent.ask()
        groups = self._groups.offsets()
        below = self._needless(extent, groups)
        if below:
            self._topic.delete(below)
        self._forget_appended(groups)
        self._note_behind(groups)
        self._pressure.look(extent, groups)
        return sum(
            self._extent.distance(positions.pack(extent[p][0]), positions.pack(record))
            for p, record in below.items()
        )

    def _needless(
        self, extent: Mapping[int, tuple[int, int]], groups: Mapping[str, Mapping[int, int]]
    ) -> dict[int, int]:
        """For each partition that has any the record below which all can be deleted."""
        if (newest := self._topic.newest(extent)) is not None:
            self._time.saw(newest)
        oldest = self._time.now() - self._span
        young = self._topic.records_since(max(0, oldest), extent)
        pinned = [positions.record_of(offset) for offset in self._pins.offsets()]
        below: dict[int, int] = {}
        for partition, (first, end) in extent.items():
            done = [offsets.get(partition, 0) for offsets in groups.values()]
            committed = positions.record_of(min(done)) if done else end
            least = min([committed, young.get(partition, end), *pinned])
            if least > first:
                below[partition] = least
        return below

    def _forget_appended(self, groups: Mapping[str, Mapping[int, int]]) -> None:
        """Forget how many messages lie where, below what all consumers have committed."""
        if self._record is not None and groups:
            done = {p: min(of.get(p, 0) for of in groups.values()) for p in self._topic.partitions}
            self._record.forget_appended(done)

    def _note_behind(self, groups: Mapping[str, Mapping[int, int]]) -> None:
        """Set `behind` for `health`, which must not wait."""
        ends = {partition: end for partition, (_, end) in self._extent.offsets().items()}
        self.behind = {
            name: sum(
                self._extent.distance(offsets.get(partition, 0), end)
                for partition, end in ends.items()
            )
            for name, offsets in groups.items()
        }
