"""Merges old hours of the byte ledger into days, exactly and once.

    complete segments of a day ──names told apart once──> Sum of each measure
                                                             │ one transaction, in place of them
                                                             v
                                                 segments of the day ──> catalog

A day is merged once it lies before `merged_before`, which is raised in a transaction of its own
first. From then on nothing is written there of what was sent or stored; of what came in, only
segments are taken that their partition does not write again. What still comes for such a day, as
from a keeper that was behind, is merged into it later. A crash leaves either the hours or the day.
"""

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeVar

import numpy as np
import structlog

from lakebed.metering.partition import CompleteSegments
from lakebed.metering.segment import Names, PolicySet, Segment, encode
from lakebed.ports.catalog.checkpoints import CheckpointReader
from lakebed.ports.catalog.ledger import (
    LedgerMerging,
    LedgerReader,
    LedgerSegment,
    Measure,
    SegmentKey,
)
from lakebed.vocabulary.messages import Codes
from lakebed.vocabulary.times import DAY, MINUTE, Micros

_Name = TypeVar("_Name", bound=Hashable)

log = structlog.get_logger(__name__)

WRITER = "day"
"""The writer of merged segments."""

_MOST = 4_000_000  # rows of one merged segment; a day that has more gets several
_CLAIM = 10 * MINUTE  # longer than a day takes


class MergedCatalog(LedgerReader, LedgerMerging, CheckpointReader, Protocol):
    """What merging needs of the catalog."""


class Merging:
    """Used by one thread. Each call merges one day, so that other work is not held up for long.

    Args:
        hours: how long hours are kept apart.
        most: rows of one merged segment.
    """

    def __init__(self, catalog: MergedCatalog, hours: Micros, most: int = _MOST) -> None:
        self._catalog, self._hours, self._most = catalog, hours, most
        self._days: list[Micros] | None = None  # that may have something to merge

    def look(self) -> None:
        """Let the next call look through all days again."""
        self._days = None

    def merge_one(self, now: Micros) -> bool:
        """Merge the oldest day that has something to merge; returns whether there was one.

        Args:
            now: by which hours are old; a time that is too high merges too early.
        """
        if self._days == []:
            return False
        before = (now - self._hours) // DAY * DAY
        if self._days is None and before <= 0:
            return False
        if not self._catalog.claim_merging(now, now + _CLAIM):
            return False
        try:
            if self._days is None:
                self._catalog.mark_merged(before)
                self._days = self._found()
            if not self._days:
                return False
            merge_day(self._catalog, self._days[0], self._most)
            del self._days[0]
            return True
        finally:
            self._catalog.release_merging()

    def _found(self) -> list[Micros]:
        complete = Complete(self._catalog)
        keys = self._catalog.ledger_keys(0, self._catalog.merged_before())
        return sorted({key.hour // DAY * DAY for key in keys if complete(key)})


class Complete:
    """Tells which segments of hours can be merged, where these lie before `merged_before`."""

    def __init__(self, catalog: CheckpointReader) -> None:
        self._came_in = CompleteSegments(catalog)

    def __call__(self, key: SegmentKey) -> bool:
        return key.writer != WRITER and (key.measure != Measure.IN or key in self._came_in)


def merge_day(catalog: MergedCatalog, day: Micros, most: int = _MOST) -> bool:
    """Merge what is complete of a day before `merged_before`.

    Returns:
        False, and nothing is changed, if there is nothing, or another process has just done it.
    """
    complete = Complete(catalog)
    keys = catalog.ledger_keys(day, day + DAY)
    if not any(complete(key) for key in keys):
        return False
    former = {key for key in keys if key.writer == WRITER or complete(key)}
    sums = {measure: _Sums(day, measure, most) for measure in Measure}
    merged: list[LedgerSegment] = []
    for stored in catalog.ledger(day, day + DAY):
        if stored.key in former:
            merged += sums[Measure(stored.measure)].add(stored)
    for rest in sums.values():
        merged += rest.end()
    done = catalog.replace_ledger(sorted(former), merged)
    if done:
        log.info("hours of the byte ledger merged", segments=len(former), into=len(merged))
    return done


class _Sums:
    """Adds up segments of one measure; a row is told apart by its owner, topic, unit and policies.

    Args:
        most: rows, beyond which a segment ends and another begins.
    """

    def __init__(self, day: Micros, measure: Measure, most: int) -> None:
        self._day, self._measure, self._most = day, measure, most
        self._number = 0
        self._begin()

    def _begin(self) -> None:
        self._hours = 0
        self._owners: dict[str, int] = {}
        self._topics: dict[str, int] = {}
        self._units: dict[str, int] = {}
        self._sets: dict[PolicySet, int] = {}
        self._rows = np.zeros((4, 0), np.int32)  # codes of owner, topic, unit, policies
        self._counts = np.zeros((2, 0), np.int64)  # messages, bytes

    def add(self, stored: LedgerSegment) -> list[LedgerSegment]:
        """Add a segment; returns those that have come to their end."""
        ended = self.end() if self._rows.shape[1] + stored.rows > self._most else []
        segment = Segment(stored)
        rows = [
            _codes(self._owners, segment.owners)[segment.owner],
            _codes(self._topics, segment.topics)[segment.topic],
            _codes(self._units, segment.units)[segment.unit],
            _codes(self._sets, segment.sets)[segment.policies],
        ]
        self._rows = np.concatenate([self._rows, np.array(rows, np.int32)], axis=1)
        counts = np.array([segment.count, segment.size], np.int64)
        self._counts = np.concatenate([self._counts, counts], axis=1)
        self._hours += stored.hours
        self._join()
        return ended

    def _join(self) -> None:
        """Let equal rows be one."""
        order = np.lexsort(self._rows)
        rows, counts = self._rows[:, order], self._counts[:, order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (rows[:, 1:] != rows[:, :-1]).any(axis=0)
        begins = np.flatnonzero(new)
        self._rows = rows[:, begins]
        if len(begins):
            self._counts = np.add.reduceat(counts, begins, axis=1)

    def end(self) -> list[LedgerSegment]:
        """The segment of what was added since the last one, if anything was."""
        if not self._hours:
            return []
        names = Names(
            list(self._owners), list(self._topics), list(self._units), list(self._sets), *self._rows
        )
        state = encode(names.encode(), *self._counts)
        segment = LedgerSegment(
            self._day, self._measure, WRITER, self._number, self._rows.shape[1], state, self._hours
        )
        self._number += 1
        self._begin()
        return [segment]


def _codes(known: dict[_Name, int], names: Sequence[_Name]) -> Codes:
    """The codes of names; new ones get the next."""
    return np.array([known.setdefault(name, len(known)) for name in names], np.int32)
