"""How far the log reaches in each partition, and about how many messages lie in it."""

from lakebed.stores.journal.kafka import positions
from lakebed.stores.journal.kafka.topic import Topic


class LogExtent:
    """The extent of the topic's partitions that are in use. Thread-safe.

    Attributes:
        latest: for each partition the first record and the one behind the last, as of the last
            `ask`; for those who must not wait for Kafka.
    """

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._density = 0.0  # messages in a record, moving average
        self.latest: dict[int, tuple[int, int]] = {}

    def ask(self) -> dict[int, tuple[int, int]]:
        """Ask Kafka for `latest`.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        self.latest = self._topic.extent(self._topic.partitions)
        return self.latest

    def offsets(self) -> dict[int, tuple[int, int]]:
        """`latest`, in offsets of the journal."""
        return {
            partition: (positions.pack(first), positions.pack(end))
            for partition, (first, end) in self.latest.items()
        }

    def learn(self, messages: int) -> None:
        """Take the number of messages of a record that was read or sent into the average."""
        if messages:
            self._density += (messages - self._density) / (16 if self._density else 1)

    def distance(self, start: int, end: int) -> int:
        """About how many messages lie between two offsets of a partition."""
        between = positions.record_of(end) - positions.record_of(start)
        if between < 1:
            return max(0, end - start)
        return max(1, round(between * self._density))
