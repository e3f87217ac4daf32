"""Converts between offsets of the journal and Kafka's: a record holds a block of many messages.

    offset = Kafka's offset of the record * 2**20 + index of the message in the record

So every message has an offset of its own, offsets grow within a partition, and an offset says which
record holds the message. 2**43 records a partition and 2**20 messages a record fit into int64.
"""

from collections.abc import Iterable

from confluent_kafka import TopicPartition

BITS = 20
MOST = 1 << BITS
"""Messages in one record."""


def pack(record: int, index: int = 0) -> int:
    return (record << BITS) + index


def record_of(offset: int) -> int:
    return offset >> BITS


def index_of(offset: int) -> int:
    return offset & (MOST - 1)


def to_commit(topic: str, partition: int, offset: int) -> TopicPartition:
    """The commit for an offset: its record, and as metadata the index of the message in it."""
    index = index_of(offset)
    record = record_of(offset)
    if not index:
        return TopicPartition(topic, partition, record)
    return TopicPartition(topic, partition, record, metadata=str(index))


def committed(answer: Iterable[TopicPartition]) -> dict[int, int]:
    """The offsets of the journal that Kafka answers with, of partitions that have a commit."""
    return {part.partition: _offset(part) for part in answer if part.offset >= 0}


def _offset(commit: TopicPartition) -> int:
    index = commit.metadata or "0"
    return pack(commit.offset, int(index) if index.isdigit() else 0)
