"""The topic that holds the journal: opened and checked, described, measured, and trimmed."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec

from lakebed.ports.catalog.journal import JournalIdentity
from lakebed.stores.journal.kafka import configuration, errors
from lakebed.stores.journal.kafka.cluster import TIMEOUT, Cluster
from lakebed.stores.journal.kafka.configuration import Facts
from lakebed.stores.journal.kafka.identity import Found
from lakebed.stores.journal.kafka.records import ROOM
from lakebed.vocabulary.errors import Problem, SettingsError
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_PARTITIONS = 12


class Topic:
    """Thread-safe; calls wait up to `TIMEOUT` seconds for the cluster.

    Attributes:
        name: of the topic.
        partitions: that are in use.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.name = cluster.address.topic
        self.partitions = range(0)
        self._base = 0
        self._begin: Mapping[int, int] = {}

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
        address = self._cluster.address
        with errors.opening():
            made = self.name not in self._cluster.admin.list_topics(timeout=TIMEOUT).topics
            if made:
                partitions = address.partitions or _PARTITIONS
                if known is not None:
                    log.error("the topic is gone, and is created again", topic=self.name)
                    partitions = known.partitions
                settings = configuration.of_log(address.replication)
                configuration.create(self._cluster, self.name, partitions, settings)
            facts = self._cluster.retried(self.facts)
            if made and facts.replication > 1 and facts.synced:
                configuration.leave_syncing(self._cluster, self.name)
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
        self.partitions = range(facts.partitions)
        return facts

    def make_keys(self, horizon: Micros) -> str:
        """Create the compacted topic of held keys if it is missing, and return its name."""
        name = f"{self.name}.keys"
        with errors.opening():
            if name not in self._cluster.admin.list_topics(timeout=TIMEOUT).topics:
                configuration.create(self._cluster, name, 1, configuration.of_keys(horizon))
        return name

    def describe(self) -> Found | None:
        """The topic that has this name now, or None.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking for its topic"):
            asked = self._cluster.admin.describe_topics(
                TopicCollection([self.name]), request_timeout=TIMEOUT
            )
            try:
                described = asked[self.name].result(TIMEOUT)
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
            return self._cluster.retried(ask)

    def work_as(self, identity: JournalIdentity) -> None:
        """Number records and partitions by this identity from now on."""
        self._base, self._begin = identity.base, identity.begin
        self.partitions = range(identity.partitions)

    @property
    def base(self) -> int:
        """The number of Kafka's record 0: an adopted topic continues behind the former one."""
        return self._base

    def facts(self) -> Facts:
        """The topic's configuration.

        Raises:
            KafkaException: Kafka does not answer, or has no such topic.
        """
        return configuration.read(self._cluster, self.name)

    def facts_retried(self) -> Facts:
        """As `facts`, but retries, and translates errors.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking for its settings"):
            return self._cluster.retried(self.facts)

    # --- offsets ----------------------------------------------------------------------------------

    def extent(self, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """For each partition the first record, and the one behind the last."""
        wanted, base, begin = list(partitions), self._base, self._begin
        first = self._offsets(self.name, wanted, OffsetSpec.earliest())
        end = self._offsets(self.name, wanted, OffsetSpec.latest())
        return {p: (max(base + first[p], begin.get(p, 0)), base + end[p]) for p in wanted}

    def holds_older(self) -> bool:
        """Whether there are records below those at which the journal begins."""
        base, begin = self._base, self._begin
        if not begin:
            return False
        first = self._offsets(self.name, list(begin), OffsetSpec.earliest())
        return any(base + first[partition] < begin[partition] for partition in begin)

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
            found = self._cluster.admin.list_offsets(asked, request_timeout=TIMEOUT)
            return [future.result(TIMEOUT).timestamp for future in found.values()]

        with errors.translated("asking for its newest record"):
            latest = max(self._cluster.retried(ask))
        return latest * 1000 if latest >= 0 else None

    def _offsets(self, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        offsets = {TopicPartition(topic, partition): spec for partition in partitions}

        def ask() -> dict[int, int]:
            if not offsets:
                return {}
            found = self._cluster.admin.list_offsets(offsets, request_timeout=TIMEOUT)
            return {p.partition: f.result(TIMEOUT).offset for p, f in found.items()}

        with errors.translated("asking for offsets"):
            return self._cluster.retried(ask)

    # --- deleting ---------------------------------------------------------------------------------

    def delete(self, below: Mapping[int, int]) -> None:
        """Delete all records below the given one of each partition."""
        offsets = [
            TopicPartition(self.name, partition, record - self._base)
            for partition, record in below.items()
        ]
        with errors.translated("deleting records"):
            for future in self._cluster.admin.delete_records(offsets).values():
                future.result(TIMEOUT)
