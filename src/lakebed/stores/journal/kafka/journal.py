"""The journal on Kafka: many gateways append, many consumers share the partitions.

append ──> Appender ──> brokers (acks=all)

consumer ──> GroupConsumer (a Kafka group)        entries, pending ──> Readers (no group)

Kafka keeps the log and its copies, and divides the partitions between the members of a group. It
does not notice a message that was sent twice through two gateways. Consumers do: keys travel with
their messages, and the first in the order of the partition counts (`consuming/deduplication.py`).
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import Consumer as KafkaConsumer

from lakebed.ports.health import Health
from lakebed.ports.journal.backup import JournalSnapshot
from lakebed.ports.journal.consuming import Consumer
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.stores.journal import blocks
from lakebed.stores.journal.age import SharedTime, uptime
from lakebed.stores.journal.blocks import Damaged
from lakebed.stores.journal.kafka import address, errors, positions, records
from lakebed.stores.journal.kafka.appending import Appender
from lakebed.stores.journal.kafka.consumer import GroupConsumer, on_commit
from lakebed.stores.journal.kafka.keys import HeldKeys
from lakebed.stores.journal.kafka.pressure import RetentionPressure
from lakebed.stores.journal.kafka.producer import Sender
from lakebed.stores.journal.kafka.reader import Readers
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.stores.journal.pins import RetentionPins
from lakebed.stores.journal.recent import READ_BYTES, cut
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import (
    Conflict,
    Unavailable,
    Unsupported,
)
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.times import SECOND, Micros

log = structlog.get_logger(__name__)

_LARGEST = 256 * 2**10  # bytes of a payload


class KafkaJournal:
    """See the port `Journal`.

    Args:
        url: see `address.parse`.
        payload: bytes of the largest payload that will be appended.
        clock: wall clock, for timestamps of records; it is not trusted about what is old.
        passed: microseconds that have passed since some moment.

    Raises:
        SettingsError: the URL is wrong, or the topic cannot hold a journal.
        Fatal: Kafka does not answer, or refuses.
    """

    def __init__(
        self,
        url: str,
        options: JournalSection | None = None,
        *,
        payload: int = _LARGEST,
        clock: Callable[[], Micros] = times.now,
        passed: Callable[[], Micros] = uptime,
    ) -> None:
        self._address = address.parse(url)
        self._options = options or JournalSection(url=url)
        self._clock = clock
        self._time = SharedTime(clock, passed)
        self._topic = Topic(self._address)
        facts = self._topic.open(payload)
        keys = self._topic.make_keys(self._options.id_horizon)
        reader = self._address.reader()
        horizon = self._options.id_horizon
        self._keys = HeldKeys(reader, keys, self._topic.end, horizon, SharedTime(clock, passed))
        self._readers = Readers(reader, self._topic.name)
        self._partitions = range(facts.partitions)
        self._pressure = RetentionPressure(self._topic, facts, self._readers, self._time)
        # Kept until they are closed: if an open one is garbage-collected, librdkafka hangs.
        self._live: dict[str, GroupConsumer | None] = {}
        self._lock = threading.Lock()
        self._density = 0.0  # messages in a record, moving average
        self._damaged = 0
        self._closed = False
        self._pins = RetentionPins()
        self._behind: dict[str, int] = {}
        with errors.opening():
            self._extent = self._topic.extent(self._partitions)
        self._appender = Appender(
            self._topic.name,
            facts.partitions,
            self._keys,
            Sender(self._address.producer()),
            self._stamp,
            encoded=self._learn,
        )

    # --- append -----------------------------------------------------------------------------------

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        return await self._appender.append(batch, release)

    def known(self, prefix: bytes) -> list[bytes]:
        return self._keys.beginning(prefix)

    # --- going on from another journal ------------------------------------------------------------

    def partition_of(self, channel: Channel) -> int:
        return records.partition_of(channel, len(self._partitions))

    def succeed(self, end: int, held: Sequence[bytes]) -> dict[int, int]:
        """See the port `Successor`.

        Records without messages make Kafka's own offsets large enough. One of them covers a million
        offsets of the other journal.
        """
        first = positions.record_of(end) + 1
        ends = {p: last for p, (_, last) in self._topic.extent(self._partitions).items()}
        self._appender.advance(ends, first, held)
        return {partition: positions.pack(max(first, last)) for partition, last in ends.items()}

    # --- read -------------------------------------------------------------------------------------

    def consumer(self, name: str) -> Consumer:
        with self._lock:
            if name in self._live:
                raise ValueError(f"there is a consumer {name!r} already")
            self._live[name] = None
        try:
            self._topic.register(name)
            config = {**self._address.member(name), "on_commit": on_commit}
            with errors.opening():
                made = GroupConsumer(
                    lambda: KafkaConsumer(config),
                    self._topic,
                    name,
                    seen=self._learn,
                    damaged=self._count_damaged,
                    closed=self._live.pop,
                )
        except BaseException:
            del self._live[name]
            raise
        self._live[name] = made
        return made

    def extent(self) -> dict[int, tuple[int, int]]:
        try:
            self._extent = self._topic.extent(self._partitions)
        except Unavailable as error:
            log.warning("the extent of the journal is that of before", error=str(error))
        return {
            partition: (positions.pack(first), positions.pack(end))
            for partition, (first, end) in self._extent.items()
        }

    def distance(self, partition: int, start: int, end: int) -> int:
        between = positions.record_of(end) - positions.record_of(start)
        if between < 1:
            return max(0, end - start)
        return max(1, round(between * self._density))

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        messages = size = 0
        first, end = self._topic.extent([partition])[partition]
        start = max(first, positions.record_of(offset))
        for message in self._readers.records(partition, start, end):
            record = message.offset()
            assert record is not None
            try:
                entry = records.decode(partition, record, message.value(), message.headers())
            except Damaged:
                continue  # consumers report it
            entry = cut(entry, offset)
            if len(entry.batch) or entry.release:
                found.append(entry)
            messages += len(entry.batch)
            size += len(message)
            if messages >= limit or size >= READ_BYTES:
                break
        return found

    def pending(self, since: Mapping[int, int]) -> Counter[Channel]:
        counts: Counter[Channel] = Counter()
        for partition, (first, end) in self._topic.extent(self._partitions).items():
            offset = max(since.get(partition, 0), positions.pack(first))
            start = positions.record_of(offset)
            for message in self._readers.records(partition, start, end):
                skip = positions.index_of(offset) if message.offset() == start else 0
                with suppress(Damaged):
                    found = blocks.count_channels(message.value() or b"", skip)
                    counts.update(found)
                    self._learn(sum(found.values()), records.size(message))
        return counts

    def positions(self) -> list[ConsumerPosition]:
        extent = self._topic.extent(self._partitions)
        groups = self._topic.groups()
        self._pressure.look(extent, groups)
        readers = {name: self._topic.readers(name) for name in groups}
        waited = {  # first: it also learns how many messages a record has
            (name, partition): self._waited(
                partition, positions.record_of(offset), extent[partition]
            )
            for name, offsets in groups.items()
            for partition, offset in offsets.items()
        }
        return [
            ConsumerPosition(
                name,
                partition,
                offset,
                self.distance(partition, offset, positions.pack(extent[partition][1])),
                waited[name, partition],
                name in self._live or partition in readers[name],
            )
            for name, offsets in groups.items()
            for partition, offset in sorted(offsets.items())
        ]

    def _waited(self, partition: int, record: int, extent: tuple[int, int]) -> float | None:
        """Seconds since the next record of a consumer was appended; None if there is none."""
        start = max(record, extent[0])
        for message in self._readers.records(partition, start, extent[1]):
            with suppress(Damaged):
                self._learn(blocks.count(message.value() or b""), records.size(message))
            return max(0.0, (self._clock() - message.timestamp()[1] * 1000) / SECOND)
        return None

    def readers(self, name: str) -> dict[int, str]:
        return self._topic.readers(name)

    def drop_consumer(self, name: str) -> None:
        if name in self._live:
            raise Conflict(f"{name!r} is reading: only a consumer that is gone can be dropped")
        self._topic.drop(name)

    # --- trimming ---------------------------------------------------------------------------------

    def trim(self) -> int:
        """See the port. While Kafka is away nothing is trimmed; a later call does it."""
        self._keys.expire()
        if self._appender.waiting:
            return 0
        try:
            return self._trim()
        except Unavailable as error:
            log.warning("nothing is trimmed", error=str(error))
            return 0

    def _trim(self) -> int:
        extent = self._topic.extent(self._partitions)
        groups = self._topic.groups()
        if (newest := self._topic.newest(self._partitions)) is not None:
            self._time.saw(newest)
        oldest = self.time() - self._options.span
        young = self._topic.records_since(max(0, oldest), self._partitions)
        below: dict[int, int] = {}
        for partition, (first, end) in extent.items():
            done = [offsets.get(partition, 0) for offsets in groups.values()]
            least = positions.record_of(min(done)) if done else end
            least = min(
                [least, young.get(partition, end), *map(positions.record_of, self._pins.offsets())]
            )
            if least > first:
                below[partition] = least
        if below:
            self._topic.delete(below)
        self._look(extent, groups)
        self._pressure.look(extent, groups)
        return sum(
            self.distance(p, positions.pack(extent[p][0]), positions.pack(record))
            for p, record in below.items()
        )

    def _look(
        self, extent: Mapping[int, tuple[int, int]], groups: Mapping[str, Mapping[int, int]]
    ) -> None:
        """Remember for `health`, which must not wait, how far the consumers are behind."""
        self._extent = dict(extent)
        self._behind = {
            name: sum(
                self.distance(partition, offsets.get(partition, 0), positions.pack(end))
                for partition, (_, end) in extent.items()
            )
            for name, offsets in groups.items()
        }

    def pin(self, offset: int) -> Callable[[], None]:
        """See the port. The pin holds in this process only: others trim regardless of it."""
        return self._pins.pin(offset)

    def snapshot(self) -> JournalSnapshot:
        raise Unsupported("the journal is on Kafka: keep copies there (replication, mirroring)")

    # --- state ------------------------------------------------------------------------------------

    def pressure(self) -> Pressure | None:
        return self._pressure.latest

    def time(self) -> Micros:
        return self._time.now()

    def _stamp(self) -> Micros:
        """The timestamp of records that are sent now."""
        now = self._clock()
        self._time.saw(now)
        return now

    def damage(self) -> Damage:
        """Records that this process found damaged, or deleted before they were read."""
        return Damage(messages=self._damaged, missing=self._damaged)

    def acknowledge_damage(self) -> None:
        self._damaged = 0

    def health(self) -> Health:
        facts, pressure = self._pressure.facts, self._pressure.latest
        detail: dict[str, Any] = {
            "topic": self._topic.name,
            "partitions": facts.partitions,
            "replication": facts.replication,
            "min_insync": facts.insync,
            "retention_ms": facts.retention_ms,
            "records": sum(end - first for first, end in self._extent.values()),
            "behind": dict(sorted(self._behind.items())),
            "damaged": self._damaged,
        }
        if pressure is not None:
            detail["pressure"] = pressure.full
        failure = self._appender.failure
        if failure is not None:
            return Health(False, str(failure), detail)
        if self._appender.waiting:
            return Health(False, self._appender.waiting, detail)
        if self._damaged:
            return Health(False, f"{self._damaged} records were damaged, or gone unread", detail)
        return Health(not facts.risk, facts.risk, detail)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for consumer in list(self._live.values()):
                if consumer is not None:
                    consumer.close()
            self._appender.close()
            self._keys.close()
            self._readers.close()

    def _learn(self, messages: int, size: int) -> None:
        self._pressure.learn(size)
        if messages:
            self._density += (messages - self._density) / (16 if self._density else 1)

    def _count_damaged(self, count: int) -> None:
        self._damaged += count
