"""Which topic the journal is: compares what Kafka has with what the catalog says is in use.

    Kafka: id, partitions of the topic ──┐
                                         ├──> the same: work
    catalog: id, partitions in use ──────┘    another topic: read and append nothing
                                              other partitions: append nothing, read on
                                              gone: read and append nothing

A topic that was deleted and made anew has other messages at the same offsets. With another number
of partitions a message would go where nobody knows its id. Only an operator can tell that this was
meant (`lakebed journal adopt`). Once the catalog says so, processes go on by themselves.
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
class Standing:
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
) -> Standing:
    """Args:
    found: None where there is no topic of that name.
    counted: by partition the offset up to which the keepers have counted.
    ends: by partition the record behind the last one; those that are left out are not compared.
    """
    name = known.topic
    if found is None:
        return Standing("gone", f"the topic {name} is gone from Kafka: make it anew, and {_ADOPT}")
    if found.id != known.id:
        return Standing(
            "anew",
            f"the topic {name} is another one (id {found.id}) than the journal (id {known.id}): it "
            f"was deleted and made anew, so nothing is read and accepted; {_ADOPT}",
        )
    for partition, offset in sorted(counted.items()):
        if partition in ends and positions.record_of(offset) > ends[partition]:
            return Standing(
                "behind",
                f"partition {partition} of the topic {name} ends before what was read of it: it "
                f"lost records, so nothing is read and accepted; {_ADOPT}",
            )
    if found.partitions != known.partitions:
        return Standing(
            "grown",
            f"the topic {name} has {found.partitions} partitions, and {known.partitions} are in "
            f"use: nothing is accepted; {_ADOPT}",
        )
    return Standing()
