"""Short reports that gateways leave for each other: leases of limits, load, use of limits.

gateway ──its report of a kind, replaced as a whole──> catalog ──those of all──> any process
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What one process reports.

    Attributes:
        process: a name that no other run of a process has.
        kind: what it is about; a process has one report of each kind.
        beat: grows with each report of this kind, so that others see that the process is alive
            without comparing clocks.
        written: when, by the clock of the process.
        state: bounded by the writer; opaque to the catalog.
        format: the version of `state`.
    """

    process: str
    kind: str
    beat: int
    written: Micros
    state: bytes
    format: int


class GatewayReports(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def exchange_report(
        self, kind: str, make: Callable[[Sequence[GatewayReport]], GatewayReport]
    ) -> None:
        """Write a report that is made of those of this kind that are there.

        Such calls of one kind take turns, so each sees what those before it have written. `make`
        is called within the transaction, and takes milliseconds.
        """
        ...

    def put_reports(self, reports: Sequence[GatewayReport]) -> None:
        """Write reports, each in place of the one before."""
        ...

    def gateway_reports(self, kinds: Collection[str]) -> list[GatewayReport]:
        """The reports of these kinds, of all processes."""
        ...

    def remove_reports(self, processes: Collection[str]) -> None:
        """Remove all reports of processes that have ended."""
        ...
