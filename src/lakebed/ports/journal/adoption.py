"""Adopting a topic that is not the journal which the catalog knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.ports.catalog.journal import JournalIdentity
from lakebed.vocabulary.messages import Channel


@dataclass(frozen=True, slots=True)
class JournalChange:
    """How the journal differs from the one in use.

    Attributes:
        difference: "gone": there is none. "anew": it was deleted and created again. "behind": it
            ends before what was read of it. "grown": it has another number of partitions.
        message: the difference as a sentence for an operator.
        former: the identity in use.
        found: the identity to use from now on; None where there is none.
        reach: for each partition of the former one the offset behind its last known message.
        starts: for each partition of the found one the offset at which it begins, greater than
            every offset of the former one.
        partition_of: returns the partition of a channel in the found one.
    """

    difference: Literal["gone", "anew", "behind", "grown"]
    message: str
    former: JournalIdentity
    found: JournalIdentity | None
    reach: Mapping[int, int]
    starts: Mapping[int, int]
    partition_of: Callable[[Channel], int]


class Adoptable(Protocol):
    """A journal that may differ from the one that the catalog knows."""

    def differs(self) -> str:
        """Why the journal is not the one in use; empty if it is. Thread-safe; does not wait.

        While it differs nothing is appended, and nothing is read of a topic that was replaced.
        """
        ...

    def change(self) -> JournalChange | None:
        """Compare it now; None if it is the one in use.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        ...
