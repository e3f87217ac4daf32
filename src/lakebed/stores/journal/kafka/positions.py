"""Offsets of the journal made of Kafka's: one Kafka record holds a block of many messages.

    offset = Kafka's offset of the record * 2**20 + index of the message in the record

So every message has an offset of its own, they grow in each partition, and the record that holds
one is known without looking it up. 2**43 records a partition and 2**20 messages a record fit int64.
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
