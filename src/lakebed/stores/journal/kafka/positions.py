"""Converts between offsets of the journal and Kafka's: a record holds a block of many messages.

    offset = Kafka's offset of the record * 2**20 + index of the message in the record

So every message has an offset of its own, offsets grow within a partition, and an offset says which
record holds the message. 2**43 records a partition and 2**20 messages a record fit into int64.
"""

BITS = 20
MOST = 1 << BITS
"""Messages in one record."""


def pack(record: int, index: int = 0) -> int:
    return (record << BITS) + index


def record_of(offset: int) -> int:
    return offset >> BITS


def index_of(offset: int) -> int:
    return offset & (MOST - 1)
