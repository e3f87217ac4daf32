"""Administration of the topic: creates, checks, measures and trims it.

Kafka's retention deletes old records by age or by bytes, whether or not they were read. A journal
must not. So the topic is created without retention, and `trim` deletes records that every consumer
group has committed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from lakebed.ports.catalog.journal import JournalIdentity
from lakebed.stores.journal.kafka import errors, members, positions
from lakebed.stores.journal.kafka.address import CLIENT, Address
from lakebed.stores.journal.kafka.identity import Found
from lakebed.stores.journal.kafka.records import ROOM
from lakebed.vocabulary.errors import Conflict, NotFound, Problem, SettingsError, StoreUnavailable
from lakebed.vocabulary.times import HOUR, Micros

T = TypeVar("T")
log = structlog.get_logger(__name__)

_SECOND = 1.0
_PATIENCE = 10.0  # seconds that the cluster may take to answer
_LIVE = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.NON_EMPTY_GROUP,
    KafkaError.REBALANCE_IN_PROGRESS,
}
_PAUSE = 0.1  # seconds between two tries
_MOVING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._WAIT_COORD,
    KafkaError._NOENT,  # no leader is known
}
_PARTITIONS = 12
_LARGEST = 16 * 2**20  # bytes of a record in a topic that Lakebed creates
_SEGMENT = {"segment.bytes": str(128 * 2**20), "segment.ms": str(HOUR // 1000)}
"""Small segments, because Kafka frees the disk space of deleted records by whole segments."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The topic's settings in the cluster.

    Attributes:
        partitions: their number.
        replication: copies of each partition.
        insync: copies that must have a record before it is acknowledged.
        largest: bytes of the largest record that is accepted.
        retention_ms, retention_bytes: limits above which Kafka deletes records; -1 for none.
        synced: whether each record is on disk before it is acknowledged.
    """

    partitions: int
    replication: int
    insync: int
    largest: int
    retention_ms: int
    retention_bytes: int
    synced: bool

    @property
    def risk(self) -> str:
        """Which of the settings may lose messages in normal operation; empty if none."""
        if self.retention_ms >= 0 or self.retention_bytes >= 0:
            return "its retention deletes messages that nobody has read: set it to -1"
        if self.replication > 1 and self.insync < 2:
            return "min.insync.replicas is 1: a message may be acknowledged with a single copy"
        if self.replication == 1 and not self.synced:
            return "a single copy that is not synced: set its flush.messages to 1, or replicate it"
        return ""


class Topic:
    """Administers the topic. Thread-safe; calls wait up to `_PATIENCE` seconds for the cluster."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self.name = address.topic
        self._partitions = range(0)
        self._base = 0
        self._begin: Mapping[int, int] = {}
        self._seen: set[str] = set()  # consumers, the last time that they were asked for
        with errors.opening():
            self._admin = AdminClient(address.common())

    def open(self, payload: int, known: JournalIdentity | None = None) -> Facts:
        """Create the topic if it is missing, and check its settings.

        Args:
            payload: bytes of the largest payload that a record must hold.
            known: the journal's identity in the catalog, which then decides about partitions.

        Raises:
            SettingsError: the number of partitions is not that of the URL, or a record cannot hold
                the payload.
            Fatal: Kafka does not answer, or refuses.
        """
        address = self._address
        with errors.opening():
            made = self.name not in self._admin.list_topics(timeout=_PATIENCE).topics
            if made:
                partitions = address.partitions or _PARTITIONS
                if known is not None:
                    log.error("the topic is gone, and is created again", topic=self.name)
                    partitions = known.partitions
                self._make(self.name, partitions, self._settings())
            facts = self._retried(self.facts)
            if made and facts.replication > 1 and facts.synced:
                self._leave_syncing()
                facts = replace(facts, synced=False)
        if known is None and address.partitions not in (None, facts.partitions):
            raise SettingsError(
                Problem(
                    "journal.url",
                    f"the topic {self.name} has {facts.partitions} partitions, not "
                    f"{address.partitions}: write the number that it has",
                )
            )
        if facts.largest < payload + ROOM:
            raise SettingsError(
                Problem(
                    "limits.payload",
                    f"the topic {self.name} takes records of {facts.largest} bytes: raise its "
                    f"max.message.bytes, or lower the limit of {payload} bytes",
                )
            )
        self._partitions = range(facts.partitions)
        return facts

    def _settings(self) -> dict[str, str]:
        replication = self._address.replication
        settings = {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(_LARGEST),
            **_SEGMENT,
        }
        if replication is None or replication == 1:
            # A single copy must be on disk before an ack. The cluster's default may make more
            # copies, which is known only once the topic exists; `open` then removes this setting.
            settings["flush.messages"] = "1"
        if replication is not None and replication > 2:
            settings["min.insync.replicas"] = "2"
        return settings

    def _leave_syncing(self) -> None:
        """Remove the setting that syncs each record, because there is more than one copy."""
        entry = ConfigEntry("flush.messages", None, incremental_operation=AlterConfigOpType.DELETE)
        resource = ConfigResource(ResourceType.TOPIC, self.name, incremental_configs=[entry])
        self._admin.incremental_alter_configs([resource])[resource].result(_PATIENCE)

    def make_keys(self, horizon: Micros) -> str:
        """Create the compacted topic of held keys if it is missing, and return its name."""
        name = f"{self.name}.keys"
        with errors.opening():
            if name not in self._admin.list_topics(timeout=_PATIENCE).topics:
                settings = {
                    "cleanup.policy": "compact,delete",
                    "retention.ms": str(max(1, horizon // 1000)),
                    **_SEGMENT,
                }
                self._make(name, 1, settings)
        return name

    def _make(self, name: str, partitions: int, settings: dict[str, str]) -> None:
        replication = self._address.replication or -1
        fresh = NewTopic(name, partitions, replication, config=settings)
        try:
            self._admin.create_topics([fresh], operation_timeout=_PATIENCE)[name].result(_PATIENCE)
        except KafkaException as exception:
            if errors.of(exception).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            log.info("topic made", topic=name, partitions=partitions)

    def describe(self) -> Found | None:
        """The topic that has the name now, or None.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking for its topic"):
            asked = self._admin.describe_topics(
                TopicCollection([self.name]), request_timeout=_PATIENCE
            )
            try:
                described = asked[self.name].result(_PATIENCE)
            except KafkaException as exception:
                if errors.of(exception).code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
                raise
        return Found(str(described.topic_id), len(described.partitions))

    def described(self) -> Found:
        """As `describe`, of a topic that was opened just now: not all brokers may know it yet."""

        def ask() -> Found:
            found = self.describe()
            if found is None:
                raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
            return found

        with errors.opening():
            return self._retried(ask)

    def work_as(self, identity: JournalIdentity) -> None:
        """Number records and partitions as this identity does from now on."""
        self._base, self._begin = identity.base, identity.begin
        self._partitions = range(identity.partitions)

    @property
    def base(self) -> int:
        """The number of Kafka's record 0: an adopted topic goes on behind the one before."""
        return self._base

    def facts(self) -> Facts:
        found = self._admin.list_topics(self.name, timeout=_PATIENCE).topics[self.name]
        if found.error is not None:
            raise KafkaException(found.error)
        resource = ConfigResource(ResourceType.TOPIC, self.name)
        settings = self._admin.describe_configs([resource])[resource].result(_PATIENCE)

        def number(name: str) -> int:
            return int(settings[name].value)

        return Facts(
            partitions=len(found.partitions),
            replication=min(len(p.replicas) for p in found.partitions.values()),
            insync=number("min.insync.replicas"),
            largest=number("max.message.bytes"),
            retention_ms=number("retention.ms"),
            retention_bytes=number("retention.bytes"),
            synced=number("flush.messages") == 1,
        )

    def lately(self) -> Facts:
        """As `facts`, but retries, and translates errors.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking for its settings"):
            return self._retried(self.facts)

    def _retried(self, ask: Callable[[], T]) -> T:
        """Retry while leaders move, or while some brokers do not know a new topic yet."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return ask()
            except KafkaException as exception:
                error = errors.of(exception)
                passes = error.retriable() or error.code() in _MOVING
                if not passes or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)
            with suppress(KafkaException):
                self._admin.list_topics(timeout=_PATIENCE)  # else the old leaders are asked again

    # --- offsets ----------------------------------------------------------------------------------

    def extent(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """For each partition the first record, and the one behind the last."""
        wanted, base, begin = list(partitions), self._base, self._begin
        first = self._offsets(self.name, wanted, OffsetSpec.earliest())
        end = self._offsets(self.name, wanted, OffsetSpec.latest())
        return {p: (max(base + first[p], begin.get(p, 0)), base + end[p]) for p in wanted}

    def end(self, topic: str) -> int:
        """The record behind the last one of a topic with one partition."""
        return self._offsets(topic, [0], OffsetSpec.latest())[0]

    def records_since(self, moment: Micros, partitions: Iterable[int]) -> dict[int, int]:
        """For each partition the first record written at `moment` or later, if there is one."""
        spec = OffsetSpec.for_timestamp(moment // 1000)
        found = self._offsets(self.name, partitions, spec)
        base = self._base
        return {partition: base + record for partition, record in found.items() if record >= 0}

    def newest(self, partitions: Iterable[int]) -> Micros | None:
        """The latest timestamp of all records held; None where there is none."""
        asked = {TopicPartition(self.name, p): OffsetSpec.max_timestamp() for p in partitions}

        def ask() -> list[int]:
            found = self._admin.list_offsets(asked, request_timeout=_PATIENCE)
            return [future.result(_PATIENCE).timestamp for future in found.values()]

        with errors.translated("asking for its newest record"):
            latest = max(self._retried(ask))
        return latest * 1000 if latest >= 0 else None

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        offsets = {TopicPartition(topic, partition): spec for partition in partitions}

        def ask() -> dict[int, int]:
            found = self._admin.list_offsets(offsets, request_timeout=_PATIENCE) if offsets else {}
            return {p.partition: f.result(_PATIENCE).offset for p, f in found.items()}

        with errors.translated("asking for offsets"):
            return self._retried(ask)

    def groups(self) -> dict[str, dict[int, int]]:
        """For each consumer that ever committed, its offset in each partition.

        Raises:
            StoreUnavailable: a broker did not answer, so its groups are unknown.
        """
        begin = self._address.group("")
        with errors.translated("asking for its consumers"):
            listed = self._admin.list_consumer_groups(request_timeout=_PATIENCE).result()
            if listed.errors:  # the list has only groups of the brokers that answered
                raise KafkaException(listed.errors[0])
        ids = [group.group_id for group in listed.valid]
        ours = {name.removeprefix(begin) for name in ids if name.startswith(begin)} - {""}
        found: dict[str, dict[int, int]] = {}
        for name in sorted(ours | self._seen):
            offsets = self.committed(name)
            if offsets or name in ours:
                found[name] = offsets
            else:  # dropped: a broker that has just started lists no group, but knows its offsets
                self._seen.discard(name)
        self._seen.update(found)
        return found

    def committed(self, consumer: str) -> dict[int, int]:
        """The committed offsets of a consumer, for the partitions where it ever committed."""
        with errors.translated("asking where a consumer stands"), self._client_of(consumer) as seen:
            return self._committed(seen)

    def is_stable(self, consumer: str) -> bool:
        """Whether the group of a consumer is known not to rebalance now; waits for a second."""
        try:
            return members.of_group(self._admin, self._address.group(consumer), _SECOND) is not None
        except KafkaException:
            return False

    def readers(self, consumer: str) -> dict[int, str]:
        """For each partition the client that has it; the broker tells nothing of a group that
        rebalances.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking who reads its partitions"):
            found = members.of_group(self._admin, self._address.group(consumer), _PATIENCE) or ()
        return {
            partition: member.client_id.removeprefix(CLIENT)
            for member in found
            for partition in member.partitions.get(self.name, ())
            if partition in self._partitions
        }

    def register(self, consumer: str) -> None:
        """Commit the beginning for a consumer that never committed, so that `trim` waits for it.

        A group with live members has offsets already, and Kafka refuses the commit, which is right.
        """
        with errors.translated("registering a consumer"), self._client_of(consumer) as seen:
            missing = set(self._partitions) - self._committed(seen).keys()
            self._seen.add(consumer)
            if not missing:
                return
            extent = self.extent(missing)
            offsets = [self._beginning(p, extent[p][0]) for p in sorted(missing)]
            try:
                self._retried(lambda: seen.commit(offsets=offsets, asynchronous=False))
            except KafkaException as exception:
                if errors.of(exception).code() not in _LIVE:
                    raise

    def drop(self, consumer: str) -> None:
        """Delete the group of a consumer.

        Raises:
            NotFound: there is no such group.
            Conflict: the group has live members.
        """
        group = self._address.group(consumer)
        try:
            self._admin.delete_consumer_groups([group])[group].result(_PATIENCE)
        except KafkaException as exception:
            error = errors.of(exception)
            if error.code() == KafkaError.GROUP_ID_NOT_FOUND:
                raise NotFound(f"no consumer is called {consumer!r}") from exception
            if error.code() == KafkaError.NON_EMPTY_GROUP:
                raise Conflict(f"{consumer!r} is reading in another process") from exception
            raise StoreUnavailable(f"the journal at Kafka: {errors.text(error)}") from exception

    def _committed(self, client: Consumer) -> dict[int, int]:
        asked = [TopicPartition(self.name, partition) for partition in self._partitions]
        found = self._retried(lambda: client.committed(asked, timeout=_PATIENCE))
        return positions.committed(found, self._base)

    def _beginning(self, partition: int, record: int) -> TopicPartition:
        return positions.to_commit(self.name, partition, positions.pack(record), self._base)

    @contextmanager
    def _client_of(self, consumer: str) -> Iterator[Consumer]:
        """A consumer with the group's name that asks for its offsets without joining it.

        librdkafka 2.16 can ask the same as an admin client, but that crashes the process while the
        group's coordinator moves.
        """
        group = {"group.id": self._address.group(consumer)}
        client = Consumer({**self._address.reader(), **group})
        try:
            yield client
        finally:
            client.close()

    # --- deleting ---------------------------------------------------------------------------------

    def delete(self, below: Mapping[int, int]) -> None:
        """Delete all records below the given one of each partition."""
        offsets = [
            TopicPartition(self.name, partition, record - self._base)
            for partition, record in below.items()
        ]
        with errors.translated("deleting records"):
            for future in self._admin.delete_records(offsets).values():
                future.result(_PATIENCE)
