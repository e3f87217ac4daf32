"""The journal on Kafka: many gateways append, many consumers share the partitions.

append ──> Appender ──> brokers (acks=all)         trim ──> Trimmer

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

from lakebed.ports.catalog.journal import JournalIdentity, JournalRecord
from lakebed.ports.health import Health
from lakebed.ports.journal.adoption import JournalChange
from lakebed.ports.journal.backup import JournalSnapshot
from lakebed.ports.journal.consuming import Consumer
from lakebed.ports.journal.operating import ConsumerPosition, Damage, Pressure
from lakebed.stores.journal import blocks, figures
from lakebed.stores.journal.age import SharedTime, uptime
from lakebed.stores.journal.blocks import Damaged
from lakebed.stores.journal.kafka import address, changes, errors, positions, records
from lakebed.stores.journal.kafka.appending import Appender
from lakebed.stores.journal.kafka.cluster import Cluster
from lakebed.stores.journal.kafka.consumer import GroupConsumer, on_commit
from lakebed.stores.journal.kafka.extent import LogExtent
from lakebed.stores.journal.kafka.groups import ConsumerGroups
from lakebed.stores.journal.kafka.keys import HeldKeys
from lakebed.stores.journal.kafka.pressure import RetentionPressure
from lakebed.stores.journal.kafka.producer import Sender
from lakebed.stores.journal.kafka.reader import Readers
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.stores.journal.kafka.trimming import Trimmer
from lakebed.stores.journal.kafka.watch import TopicWatch
from lakebed.stores.journal.pins import RetentionPins
from lakebed.stores.journal.recent import READ_BYTES, cut
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import (
    Conflict,
    StoreUnavailable,
    Unavailable,
    UnknownFormat,
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
        clock: wall clock, for timestamps of records; ages are not computed from it alone.
        passed: a monotonic clock, microseconds.
        record: the catalog, with the topic's identity and what of it was lost. Without it no
            change of the topic is noticed.

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
        record: JournalRecord | None = None,
    ) -> None:
        self._address = address.parse(url)
        self._options = options or JournalSection(url=url)
        self._clock = clock
        self._time = SharedTime(clock, passed)
        cluster = Cluster(self._address)
        self._topic = Topic(cluster)
        self._groups = ConsumerGroups(cluster, self._topic)
        self._extent = LogExtent(self._topic)
        self._record = record
        facts = self._topic.open(payload, None if record is None else record.identity())
        horizon = self._options.id_horizon
        keys = self._topic.make_keys(horizon)
        reader = self._address.reader()
        self._readers = Readers(reader, self._topic)
        self._pressure = RetentionPressure(facts, self._readers, self._time)
        found = self._topic.described()
        identity = JournalIdentity(self._topic.name, found.id, facts.partitions)
        self._watch = TopicWatch(self._topic, record, identity, self._pressure.take, self._adopted)
        self._keys = HeldKeys(
            reader, keys, self._topic.end, horizon, SharedTime(clock, passed),
            lambda: self._watch.identity.changed,
        )  # fmt: skip
        # Kept until they are closed: if an open one is garbage-collected, librdkafka hangs.
        self._live: dict[str, GroupConsumer | None] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._pins = RetentionPins()
        self._trimmer = Trimmer(
            self._topic, self._groups, self._extent, time=self._time, span=self._options.span,
            pins=self._pins, pressure=self._pressure, record=record,
        )  # fmt: skip
        if not self._watch.status.unreadable:
            with errors.opening():
                self._extent.ask()
        self._appender = Appender(
            self._topic.name,
            lambda: self._watch.identity.partitions,
            self.differs,
            self._keys,
            Sender(self._address.producer(), self._watch.note),
            self._stamp,
            encoded=self._learn,
        )
        self._watch.start()

    # --- append -----------------------------------------------------------------------------------

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        return await self._appender.append(batch, release)

    def known(self, prefix: bytes) -> list[bytes]:
        return self._keys.beginning(prefix)

    # --- continuing another journal ---------------------------------------------------------------

    def partition_of(self, channel: Channel) -> int:
        return records.partition_of(channel, len(self._topic.partitions))

    def succeed(self, end: int, held: Sequence[bytes]) -> dict[int, int]:
        """See the port `Successor`.

        Records without messages make Kafka's own offsets large enough. One of them covers a million
        offsets of the other journal.
        """
        first = positions.record_of(end) + 1
        ends = {p: last for p, (_, last) in self._extent.ask().items()}
        self._appender.advance(ends, first, held)
        return {partition: positions.pack(max(first, last)) for partition, last in ends.items()}

    # --- read -------------------------------------------------------------------------------------

    def consumer(self, name: str) -> Consumer:
        with self._lock:
            if name in self._live:
                raise ValueError(f"there is a consumer {name!r} already")
            self._live[name] = None
        try:
            self._groups.register(name)
            config = {**self._address.member(name), "on_commit": on_commit}
            with errors.opening():
                made = GroupConsumer(
                    lambda: KafkaConsumer(config),
                    self._topic,
                    name,
                    is_stable=lambda: self._groups.is_stable(name),
                    seen=self._learn,
                    watch=self._watch,
                    closed=self._live.pop,
                )
        except BaseException:
            del self._live[name]
            raise
        self._live[name] = made
        return made

    def extent(self) -> dict[int, tuple[int, int]]:
        try:
            self._check_readable()
            self._extent.ask()
        except Unavailable as error:
            log.warning("the journal's extent is unknown, using the last one", error=str(error))
        return self._extent.offsets()

    def distance(self, partition: int, start: int, end: int) -> int:
        return self._extent.distance(start, end)

    def _adopted(self) -> None:
        self._readers.renew()
        self._appender.refresh()

    def _check_readable(self) -> None:
        if unreadable := self._watch.status.unreadable:
            raise StoreUnavailable(unreadable)

    def holds_older(self) -> bool:
        return self._topic.holds_older()

    def entries(self, partition: int, offset: int, limit: int) -> list[Entry]:
        self._check_readable()
        found: list[Entry] = []
        messages = size = 0
        first, end = self._topic.extent([partition])[partition]
        start = max(first, positions.record_of(offset))
        for record, message in self._readers.records(partition, start, end):
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
        self._check_readable()
        counts: Counter[Channel] = Counter()
        for partition, (first, end) in self._extent.ask().items():
            offset = max(since.get(partition, 0), positions.pack(first))
            start = positions.record_of(offset)
            for record, message in self._readers.records(partition, start, end):
                skip = positions.index_of(offset) if record == start else 0
                with suppress(Damaged):
                    found = blocks.count_channels(message.value() or b"", skip)
                    counts.update(found)
                    self._learn(sum(found.values()), records.size(message))
        return counts

    def positions(self) -> list[ConsumerPosition]:
        if self._watch.status.unreadable:
            return []
        extent = self._extent.ask()
        groups = self._groups.offsets()
        self._pressure.look(extent, groups)
        readers = {name: self._groups.readers(name) for name in groups}
        waited = {  # first: it also learns how many messages a record has
            (name, partition): self._age_of_next(
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

    def _age_of_next(self, partition: int, record: int, extent: tuple[int, int]) -> float | None:
        """Seconds since the next record of a consumer was appended; None if there is none."""
        start = max(record, extent[0])
        for _, message in self._readers.records(partition, start, extent[1]):
            with suppress(Damaged, UnknownFormat):
                self._learn(blocks.count(message.value() or b""), records.size(message))
            return max(0.0, (self._clock() - message.timestamp()[1] * 1000) / SECOND)
        return None

    def readers(self, name: str) -> dict[int, str]:
        return self._groups.readers(name)

    def drop_consumer(self, name: str) -> None:
        if name in self._live:
            raise Conflict(f"{name!r} is reading: only a consumer that is gone can be dropped")
        self._groups.drop(name)

    # --- trimming ---------------------------------------------------------------------------------

    def trim(self) -> int:
        """See the port. While Kafka is away nothing is trimmed; a later call does it."""
        self._keys.expire()
        if self._appender.waiting or self._watch.status.unreadable:
            return 0
        try:
            return self._trimmer.trim()
        except Unavailable as error:
            log.warning("nothing is trimmed", error=str(error))
            return 0

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
        """What was found damaged, or deleted before it was read, by any process."""
        self._watch.look_for_damage()
        return self._watch.damage

    def acknowledge_damage(self, seen: Damage) -> None:
        self._watch.acknowledge_damage(seen)

    def differs(self) -> str:
        return self._watch.status.message

    def change(self) -> JournalChange | None:
        self._watch.look()
        return changes.describe(
            self._topic, self._extent, self._watch.status, self._watch.identity, self._record,
            self._clock(),
        )  # fmt: skip

    def health(self) -> Health:
        facts, pressure = self._pressure.facts, self._pressure.latest
        damage = self._watch.damage
        detail: dict[str, Any] = {
            "topic": self._topic.name,
            "partitions": self._watch.identity.partitions,
            "replication": facts.replication,
            "min_insync": facts.insync,
            "retention_ms": facts.retention_ms,
            "records": sum(end - first for first, end in self._extent.latest.values()),
            "behind": dict(sorted(self._trimmer.behind.items())),
            "damaged": damage.messages,
        }
        if pressure is not None:
            detail["pressure"] = pressure.full
        samples = figures.samples(detail)
        failure = self._appender.failure
        if failure is not None:
            return Health(False, str(failure), detail, samples)
        if differs := self.differs():
            return Health(False, differs, detail, samples)
        if self._appender.waiting:
            return Health(False, self._appender.waiting, detail, samples)
        if damage.known:
            # a process that reads is not ready; a gateway stays ready, or no process would be
            return Health(not self._live, _message(damage), detail, samples)
        return Health(not facts.risk, facts.risk, detail, samples)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for consumer in list(self._live.values()):
                if consumer is not None:
                    consumer.close()
            self._appender.close()
            self._watch.close()
            self._keys.close()
            self._readers.close()

    def _learn(self, messages: int, size: int) -> None:
        self._pressure.learn(size)
        self._extent.learn(messages)


def _message(damage: Damage) -> str:
    """For an operator."""
    what = "messages were" if damage.lost else "records were"
    return f"{damage.messages} {what} damaged, or gone unread: lakebed journal acknowledge"
