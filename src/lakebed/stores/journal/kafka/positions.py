"""Converts between offsets of the journal and Kafka's: a record holds a block of many messages.

    offset = Kafka's offset of the record * 2**20 + index of the message in the record

So every message has an offset of its own, offsets grow within a partition, and an offset says which
record holds the message. 2**43 records a partition and 2**20 messages a record fit into int64.
"""

import secrets
from collections.abc import Iterable

from confluent_kafka import TopicPartition

BITS = 20
MOST = 1 << BITS
"""Messages in one record."""


def new_writer() -> str:
    """A name that no other process has, under which the catalog notes what it appended."""
    return secrets.token_hex(8)


def pack(record: int, index: int = 0) -> int:
    return (record << BITS) + index


def record_of(offset: int) -> int:
    return offset >> BITS


def index_of(offset: int) -> int:
    return offset & (MOST - 1)


def to_commit(topic: str, partition: int, offset: int, base: int) -> TopicPartition:
    """The commit for an offset: its record, and as metadata the index of the message in it.

    Args:
        base: number of Kafka's record 0. The metadata of an adopted topic has it too, to tell its
            commits from those of the topic before.
    """
    record, index = record_of(offset) - base, index_of(offset)
    if not base and not index:
        return TopicPartition(topic, partition, record)
    metadata = f"{index}@{base}" if base else str(index)
    return TopicPartition(topic, partition, max(0, record), metadata=metadata)


def committed(answer: Iterable[TopicPartition], base: int) -> dict[int, int]:
    """The offsets of the journal that Kafka answers with, of partitions that have a commit."""
    return {part.partition: _offset(part, base) for part in answer if part.offset >= 0}


def _offset(commit: TopicPartition, base: int) -> int:
    """The offset of a commit; the beginning if it belongs to another topic."""
    index, _, of = (commit.metadata or "0").partition("@")
    if (of or "0") != str(base):
        return pack(base)
    return pack(base + commit.offset, int(index) if index.isdigit() else 0)
