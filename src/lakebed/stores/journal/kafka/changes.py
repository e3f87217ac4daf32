"""Describes a topic that is not the journal in use, for an operator who adopts it.

An adopted topic goes on behind the former one: its offsets are greater than all that are known of
the journal so far, so no saved offset means another message afterwards.
"""

from lakebed.ports.catalog.journal import JournalIdentity, JournalRecord
from lakebed.ports.journal.adoption import JournalChange
from lakebed.stores.journal.kafka import positions, records
from lakebed.stores.journal.kafka.extent import LogExtent
from lakebed.stores.journal.kafka.identity import TopicStatus
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.vocabulary.times import Micros


def describe(
    topic: Topic,
    extent: LogExtent,
    status: TopicStatus,
    former: JournalIdentity,
    record: JournalRecord | None,
    now: Micros,
) -> JournalChange | None:
    """How the topic differs from `former`; None where it is the one in use.

    Args:
        record: the catalog; without one there is no identity to adopt.
        now: for the identity that is adopted.

    Raises:
        StoreUnavailable: Kafka or the catalog does not answer.
    """
    difference = status.difference
    if difference == "":
        return None
    described = topic.describe()
    found = None
    begin: dict[int, int] = {}
    if described is not None and record is not None:
        if difference == "grown":
            extent.ask()
        ends = {p: end for p, (_, end) in extent.offsets().items()}
        base = 1 + positions.record_of(max(record.highest(), *ends.values(), 0))
        if difference == "grown":  # what is read already is no longer part of it
            begin = {p: base + end - former.base for p, (_, end) in extent.latest.items()}
        found = JournalIdentity(topic.name, described.id, described.partitions, base, now, begin)
    number = former.partitions if found is None else found.partitions
    return JournalChange(
        difference,
        status.message,
        former,
        found,
        reach={partition: end for partition, (_, end) in extent.offsets().items()},
        starts={} if found is None else {p: _start(found, p) for p in range(number)},
        partition_of=lambda channel: records.partition_of(channel, number),
    )


def _start(identity: JournalIdentity, partition: int) -> int:
    """The offset at which a partition of an adopted topic begins."""
    return positions.pack(identity.begin.get(partition, identity.base))
