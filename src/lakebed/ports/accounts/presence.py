"""Which units are connected, by the processes that they are connected to."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from lakebed.vocabulary.times import Micros


class PresenceStore(Protocol):
    """A process holds a lease: when it dies, its units are offline once the lease has run out.

    Calls block, are thread-safe, and are one transaction each. Every method raises
    `StoreUnavailable` where the database does not answer.
    """

    def renew_presence(
        self, process: str, until: Micros, online: Sequence[str], offline: Sequence[str]
    ) -> None:
        """Prolong the lease of a process, and add and remove units that are connected to it.

        What processes whose lease has run out have left is removed.
        """
        ...

    def touch_units(self, seen: Mapping[str, Micros]) -> None:
        """Note when units, by uuid, were seen, where that is later than what is there."""
        ...

    def online_units(self, uuids: Sequence[str]) -> set[str]:
        """Those of these units that are connected to any process."""
        ...
