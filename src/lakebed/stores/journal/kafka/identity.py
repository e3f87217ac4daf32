"""Compares the topic in Kafka with the identity of the journal in the catalog.

    Kafka: id, partitions of the topic ──┐
                                         ├──> the same: read and append
    catalog: id, partitions in use ──────┘    another topic: read and append nothing
                                              other partitions: append nothing, read on
                                              gone: read and append nothing

A topic that was deleted and created again has other messages at the same offsets. With another
number of partitions a message would go to a partition without its key, and be stored twice. Only an
operator knows whether that is intended (`lakebed journal adopt`). Processes read from the catalog
that the topic was adopted, and continue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lakebed.ports.catalog.journal import JournalIdentity
from lakebed.stores.journal.kafka import positions

Difference = Literal["", "gone", "anew", "behind", "grown"]

_ADOPT = "see docs/howto/scale-out.md, and: lakebed journal adopt"


@dataclass(frozen=True, slots=True)
class Found:
    """The topic as Kafka describes it."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """How the topic differs from the journal that the catalog knows.

    Attributes:
        message: for an operator; empty where nothing differs.
    """

    difference: Difference = ""
    message: str = ""

    @property
    def unreadable(self) -> str:
        """Why nothing may be read; empty where it may."""
        return "" if self.difference in ("", "grown") else self.message


def compare(
    known: JournalIdentity,
    found: Found | None,
    counted: Mapping[int, int],
    ends: Mapping[int, int],
) -> TopicStatus:
    """Compare the topic that was found with the journal in use.

    Args:
        found: None if there is no topic of that name.
        counted: by partition the offset up to which the keepers have counted.
        ends: by partition the record behind the last one; other partitions are not compared.
    """
    name = known.topic
    if found is None:
        return TopicStatus(
            "gone", f"the topic {name} is gone from Kafka: create it again, and {_ADOPT}"
        )
    if found.id != known.id:
        return TopicStatus(
            "anew",
            f"the topic {name} is another one (id {found.id}) than the journal (id {known.id}): it "
            f"was deleted and created again, so nothing is read and accepted; {_ADOPT}",
        )
    for partition, offset in sorted(counted.items()):
        if partition in ends and positions.record_of(offset) > ends[partition]:
            return TopicStatus(
                "behind",
                f"partition {partition} of the topic {name} ends before what was read of it: it "
                f"lost records, so nothing is read and accepted; {_ADOPT}",
            )
    if found.partitions != known.partitions:
        return TopicStatus(
            "grown",
            f"the topic {name} has {found.partitions} partitions, and {known.partitions} are in "
            f"use: nothing is accepted; {_ADOPT}",
        )
    return TopicStatus()
