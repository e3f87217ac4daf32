"""The byte ledger's segments: what was counted of one hour, by one writer.

Hours that are old are merged into days. Two things keep that exact:

* what was sent and stored is not written any more for the hours that are to be merged, which
  `mark_merged` says before;
* of what came in, segments are merged that their partition will not write again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from lakebed.vocabulary.times import Micros


class Measure(StrEnum):
    """What a segment counts."""

    IN = "in"
    OUT = "out"
    STORED = "stored"


class SegmentKey(NamedTuple):
    hour: Micros
    measure: str
    writer: str
    first: int


@dataclass(frozen=True, slots=True)
class LedgerSegment:
    """Counts of one hour; those of an hour's segments add up.

    The first four attributes are its key. A segment is written again whenever its counts have
    grown, and replaces the one with the same key; so a repeated write changes nothing.

    Attributes:
        hour: when the hour begins, microseconds UTC.
        writer: a partition of the journal, or a process.
        first: tells the segments of a writer apart; for a partition, the offset from which on
            messages are counted in this one.
        rows: how many rows `state` holds.
        state: opaque bytes (`metering/segment.py`).
        hours: how many hours are in it. A day's segment has several, and `hour` is when it begins.
    """

    hour: Micros
    measure: str
    writer: str
    first: int
    rows: int
    state: bytes
    hours: int = 1

    @property
    def key(self) -> SegmentKey:
        return SegmentKey(self.hour, self.measure, self.writer, self.first)


class LedgerWriter(Protocol):
    def save_ledger(self, segments: Sequence[LedgerSegment]) -> int:
        """Write segments, each in place of the one with the same key.

        What was sent or stored in an hour before `merged_before` is left out, since the segment
        with that key may be in a day's already.

        Returns:
            How many were left out.
        """
        ...


class LedgerReader(Protocol):
    def merged_before(self) -> Micros:
        """Before this time, the begin of a day, hours may have been merged into days; else 0."""
        ...

    def ledger(self, start: Micros, end: Micros) -> Iterator[LedgerSegment]:
        """Yield the segments of the hours from `start` on and before `end`, as of one moment."""
        ...

    def ledger_rows(self, start: Micros, end: Micros) -> int:
        """How many rows the segments of these hours hold."""
        ...

    def sampled_hours(self, start: Micros, end: Micros) -> int:
        """In how many hours what is stored was measured."""
        ...


class LedgerMerging(Protocol):
    def claim_merging(self, now: Micros, until: Micros) -> bool:
        """Claim the merging for this process until a time; False if another has it.

        Two that merge at once harm nothing: the second one's `replace_ledger` changes nothing.
        """
        ...

    def release_merging(self) -> None:
        """Let others merge before the claim ends."""
        ...

    def mark_merged(self, before: Micros) -> None:
        """Raise `merged_before`; a lower value changes nothing."""
        ...

    def ledger_keys(self, start: Micros, end: Micros) -> list[SegmentKey]:
        """The keys of the segments that `ledger` yields, in order."""
        ...

    def replace_ledger(
        self, former: Sequence[SegmentKey], segments: Sequence[LedgerSegment]
    ) -> bool:
        """Put segments in the place of others, in one transaction.

        Returns:
            False, and nothing is changed, where one of the former is not there any more.
        """
        ...


class LedgerExpiry(Protocol):
    def expire_ledger(self, before: Micros) -> int:
        """Delete the segments of the hours before; returns how many."""
        ...


class LedgerStore(LedgerWriter, LedgerReader, LedgerMerging, LedgerExpiry, Protocol):
    """The byte ledger as an adapter implements it."""
