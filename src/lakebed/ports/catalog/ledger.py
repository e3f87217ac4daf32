"""The byte ledger's segments: what was counted of one hour, by one writer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from lakebed.vocabulary.times import Micros


class Measure(StrEnum):
    """What a segment counts."""

    IN = "in"
    OUT = "out"
    STORED = "stored"


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
    """

    hour: Micros
    measure: str
    writer: str
    first: int
    rows: int
    state: bytes


class LedgerWriter(Protocol):
    def save_ledger(self, segments: Sequence[LedgerSegment]) -> None:
        """Write segments, each in place of the one with the same key."""
        ...


class LedgerReader(Protocol):
    def ledger(self, start: Micros, end: Micros) -> Iterator[LedgerSegment]:
        """Yield the segments of the hours from `start` on and before `end`, as of one moment."""
        ...

    def ledger_rows(self, start: Micros, end: Micros) -> int:
        """How many rows the segments of these hours hold."""
        ...

    def ledger_hours(self, measure: str, start: Micros, end: Micros) -> list[Micros]:
        """The hours, in order, of which there are segments of a measure."""
        ...


class LedgerExpiry(Protocol):
    def expire_ledger(self, before: Micros) -> int:
        """Delete the segments of the hours before; returns how many."""
        ...


class LedgerStore(LedgerWriter, LedgerReader, LedgerExpiry, Protocol):
    """The byte ledger as an adapter implements it."""
