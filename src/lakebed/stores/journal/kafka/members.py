"""The members of a consumer group, and their partitions.

Not by `describe_consumer_groups`: that crashes the process when the connection to the group's
coordinator breaks meanwhile (librdkafka 2.16: an assertion in
`rd_kafka_enq_once_del_source_return`). The older call asks each broker by itself.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import AdminClient

_STABLE = "Stable"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group; `partitions` by topic."""

    client_id: str
    partitions: Mapping[str, tuple[int, ...]]


def of_group(admin: AdminClient, group: str, timeout: float) -> list[Member] | None:
    """The members; None where the group rebalances, is not there, or its broker does not answer.

    Args:
        timeout: seconds to wait for the brokers.

    Raises:
        KafkaException: no broker answers.
    """
    groups: list[Any] = admin.list_groups(group, timeout=timeout)
    for found in groups:
        if found.id == group and found.error is None and found.state == _STABLE:
            return [Member(one.client_id, assignment(one.assignment)) for one in found.members]
    return None


def assignment(data: bytes) -> dict[str, tuple[int, ...]]:
    """Decode the partitions of a member, by topic (Kafka's ConsumerProtocolAssignment)."""
    if not data:
        return {}
    _, topics = struct.unpack_from(">hi", data)
    at, found = 6, {}
    for _ in range(topics):
        (size,) = struct.unpack_from(">h", data, at)
        topic = data[at + 2 : at + 2 + size].decode()
        at += 2 + size
        (count,) = struct.unpack_from(">i", data, at)
        found[topic] = struct.unpack_from(f">{count}i", data, at + 4)
        at += 4 + 4 * count
    return found
