"""The topic's configuration: what Lakebed sets when it creates the topic, and what is in force.

Kafka's retention deletes old records by age or by bytes, whether or not they were read. A journal
must not, so the topic is created without retention. Segments are small, because Kafka frees the
disk space of deleted records by whole segments.
"""

from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from lakebed.stores.journal.kafka import errors
from lakebed.stores.journal.kafka.cluster import TIMEOUT, Cluster
from lakebed.vocabulary.times import HOUR, Micros

log = structlog.get_logger(__name__)

_LARGEST = 16 * 2**20  # bytes of a record in a topic that Lakebed creates
_SEGMENT = {"segment.bytes": str(128 * 2**20), "segment.ms": str(HOUR // 1000)}


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


def of_log(replication: int | None) -> dict[str, str]:
    """The configuration of a new topic that holds the journal.

    Args:
        replication: copies of each partition; None for the cluster's default.
    """
    settings = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(_LARGEST),
        **_SEGMENT,
    }
    if replication is None or replication == 1:
        # A single copy must be on disk before an ack. The cluster's default may make more copies,
        # which is known only once the topic exists; `Topic.open` then removes this setting.
        settings["flush.messages"] = "1"
    if replication is not None and replication > 2:
        settings["min.insync.replicas"] = "2"
    return settings


def of_keys(horizon: Micros) -> dict[str, str]:
    """The configuration of the compacted topic that holds keys for `horizon`."""
    return {
        "cleanup.policy": "compact,delete",
        "retention.ms": str(max(1, horizon // 1000)),
        **_SEGMENT,
    }


def create(cluster: Cluster, name: str, partitions: int, settings: dict[str, str]) -> None:
    """Create a topic, unless another process does so at the same time.

    Raises:
        KafkaException: Kafka does not answer, or refuses.
    """
    replication = cluster.address.replication or -1
    fresh = NewTopic(name, partitions, replication, config=settings)
    try:
        cluster.admin.create_topics([fresh], operation_timeout=TIMEOUT)[name].result(TIMEOUT)
    except KafkaException as exception:
        if errors.of(exception).code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise
    else:
        log.info("topic made", topic=name, partitions=partitions)


def leave_syncing(cluster: Cluster, name: str) -> None:
    """Remove the setting that syncs each record, because there is more than one copy."""
    entry = ConfigEntry("flush.messages", None, incremental_operation=AlterConfigOpType.DELETE)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    cluster.admin.incremental_alter_configs([resource])[resource].result(TIMEOUT)


def read(cluster: Cluster, name: str) -> Facts:
    """Ask for the configuration that is in force.

    Raises:
        KafkaException: Kafka does not answer, or has no such topic.
    """
    found = cluster.admin.list_topics(name, timeout=TIMEOUT).topics[name]
    if found.error is not None:
        raise KafkaException(found.error)
    resource = ConfigResource(ResourceType.TOPIC, name)
    settings = cluster.admin.describe_configs([resource])[resource].result(TIMEOUT)

    def number(setting: str) -> int:
        return int(settings[setting].value)

    return Facts(
        partitions=len(found.partitions),
        replication=min(len(p.replicas) for p in found.partitions.values()),
        insync=number("min.insync.replicas"),
        largest=number("max.message.bytes"),
        retention_ms=number("retention.ms"),
        retention_bytes=number("retention.bytes"),
        synced=number("flush.messages") == 1,
    )
