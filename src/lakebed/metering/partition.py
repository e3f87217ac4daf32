"""What came in and was kept of one partition, hour by hour: the keeper's part of the byte ledger.

    chunk ──> sets of policies ──> Tally of the hour ──segments, with the checkpoint──> catalog

Each message is counted once, at its offset, in the hour in which it was received, which is recorded
with it. The segments are written in the transaction that saves the offset up to which messages are
counted. So whatever happens, a segment holds all messages below that offset and none behind it; the
next worker opens segments of its own, whose `first` is that offset.

Beside them stands which segments may be written again. All others of the partition that begin below
that offset are complete, and can be merged into days (`metering/merging.py`).
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.metering.policy_sets import PolicySets
from lakebed.metering.segment import COUNTED, COUNTED_KEPT, NO_UNIT
from lakebed.metering.tally import MOST_NAMES, Tally, label
from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader
from lakebed.ports.catalog.ledger import LedgerSegment, Measure, SegmentKey
from lakebed.vocabulary.attributes import Attributes, Coded
from lakebed.vocabulary.messages import Channel, Codes, Ints
from lakebed.vocabulary.times import HOUR, MINUTE, Micros

CONSUMER = "ledger segments"
_PART = "open"
_FILL = "fill "

_GRACE = 5 * MINUTE  # after an hour's end, in which messages of it may still come
_OPEN = 4  # hours in memory
_FEW = MOST_NAMES // 8  # units, or sets of policies; with more, segments end and others begin


class PartitionMeter:
    """Used by the keeper's thread.

    Args:
        channels: of the partition, by their small ints; it may grow.
        most: see `Tally`.
        writer: of its segments, where it is not the partition.
    """

    def __init__(
        self, partition: int, channels: Sequence[Channel], most: int, writer: str = ""
    ) -> None:
        self._writer = writer or str(partition)
        self._channels, self._most = channels, most
        self._hours: dict[Micros, Tally] = {}
        self._waiting: list[LedgerSegment] = []
        self._newest: Micros = 0
        self._closed_rest = 0
        self._told: list[tuple[Micros, int]] | None = None
        self._begin()

    def _begin(self) -> None:
        self._hours.clear()
        self._sets = PolicySets()
        self._units = [NO_UNIT]
        self._unit_codes = {NO_UNIT: 0}

    def _begin_anew(self) -> None:
        """End all segments; those that follow have few names again."""
        self._closed_rest = self.rest
        self._waiting = self.unsaved()
        self._begin()

    @property
    def rows(self) -> int:
        """Rows in memory."""
        return sum(map(len, list(self._hours.values())))

    @property
    def rest(self) -> int:
        """Messages that this process has counted without their topic."""
        return self._closed_rest + sum(tally.rest for tally in list(self._hours.values()))

    # --- counting ---------------------------------------------------------------------------------

    def start(self, n: int) -> Codes:
        """int32[n], for n messages that came to no policy yet."""
        if len(self._units) > _FEW or len(self._sets) > _FEW:
            self._begin_anew()
        return np.zeros(n, np.int32)

    def deliver(
        self, sets: Codes, index: NDArray[np.intp], policy: str, outcomes: NDArray[np.uint8]
    ) -> None:
        """Note that some of n messages came to a policy; see `PolicySets.extend`."""
        self._sets.extend(sets, index, policy, outcomes)

    def count(
        self,
        first: int,
        channel: Codes,
        sets: Codes,
        sizes: Ints,
        received: Ints,
        attributes: Coded[Attributes] | None,
    ) -> None:
        """Count n messages, at least one.

        Args:
            first: everything below this offset was counted before.
        """
        self._newest = max(self._newest, int(received.max()))
        self._add(first, channel, self._labels(sets, attributes), sizes, received)

    def release(
        self,
        first: int,
        channel: Codes,
        sizes: Ints,
        received: Ints,
        attributes: Coded[Attributes] | None,
    ) -> None:
        """Take back n messages that came to no policy: their copies have been counted instead."""
        if len(channel):
            labels = self._labels(np.zeros(len(channel), np.int32), attributes)
            self._add(first, channel, labels, sizes, received, -1)

    def take_back(
        self,
        first: int,
        channel: Codes,
        sets: Codes,
        sizes: Ints,
        received: Ints,
        attributes: Coded[Attributes] | None,
    ) -> None:
        """Take back n messages from the sums of all, but not from those of their policies."""
        kept = np.array([bool(one.kept) for one in self._sets.sets], np.bool_)[sets]
        counted, passed = self._sets.code(COUNTED_KEPT), self._sets.code(COUNTED)
        marks = np.where(kept, counted, passed).astype(np.int32)
        self._add(first, channel, self._labels(marks, attributes), sizes, received, -1)

    def _labels(self, sets: Codes, attributes: Coded[Attributes] | None) -> Ints:
        return label(0 if attributes is None else self._units_of(attributes), sets)

    def _add(
        self,
        first: int,
        channel: Codes,
        labels: Ints,
        sizes: Ints,
        received: Ints,
        sign: int = 1,
    ) -> None:
        earliest, latest = int(received.min()), int(received.max())
        if earliest // HOUR == latest // HOUR:
            self._of(earliest, first).add(channel, labels, sizes, sign)
            return
        hours = received // HOUR
        for hour in np.unique(hours).tolist():
            rows = np.flatnonzero(hours == hour)
            tally = self._of(hour * HOUR, first)
            tally.add(channel[rows], labels[rows], sizes[rows], sign)

    def _units_of(self, attributes: Coded[Attributes]) -> Codes:
        table = [self._unit(value.principal) for value in attributes.table]
        return np.array(table, np.int32)[attributes.codes]

    def _unit(self, name: str) -> int:
        code = self._unit_codes.get(name)
        if code is None:
            code = self._unit_codes[name] = len(self._units)
            self._units.append(name)
        return code

    def _of(self, time: Micros, first: int) -> Tally:
        hour = time // HOUR * HOUR
        tally = self._hours.get(hour)
        if tally is None:
            tally = self._hours[hour] = Tally(hour, first, self._channels, self._most)
        return tally

    # --- saving -----------------------------------------------------------------------------------

    def unsaved(self) -> list[LedgerSegment]:
        """The segments that have changed, whole."""
        return self._waiting + [
            LedgerSegment(
                tally.hour,
                Measure.IN,
                self._writer,
                tally.first,
                len(tally),
                tally.state(self._units, self._sets.sets),
            )
            for tally in self._hours.values()
            if tally.changed
        ]

    def take_open(self, counted: int) -> list[Checkpoint]:
        """A part with the segments that may be written again, if they are others than before.

        Args:
            counted: everything below this offset is counted in them, or in complete ones.
        """
        waiting = [(segment.hour, segment.first) for segment in self._waiting]
        opened = sorted(waiting + [(hour, tally.first) for hour, tally in self._hours.items()])
        if opened == self._told:
            return []
        self._told = opened
        return [Checkpoint(_PART, counted, msgspec.msgpack.encode(opened))]

    def saved(self) -> None:
        """They are in the catalog: let go of the hours that are over."""
        self._waiting = []
        over = [hour for hour in self._hours if hour + HOUR + _GRACE <= self._newest]
        for hour in [*over, *sorted(self._hours.keys() - over)[:-_OPEN]]:
            self._closed_rest += self._hours.pop(hour).rest


def writer_of_fill(partition: int, request: int) -> str:
    """The writer of the segments of a fill, which writes each of them once."""
    return f"{_FILL}{partition} {request}"


class CompleteSegments:
    """Which segments of what came in no partition writes again, as last saved."""

    def __init__(self, store: CheckpointReader) -> None:
        self._open = {
            str(partition): (part.offset, _decode(part))
            for partition, parts in store.checkpoints(CONSUMER).items()
            for part in parts
        }

    def __contains__(self, key: SegmentKey) -> bool:
        if key.writer.startswith(_FILL):
            return True
        counted, opened = self._open.get(key.writer, (0, set()))
        return key.first < counted and (key.hour, key.first) not in opened


def _decode(part: Checkpoint) -> set[tuple[Micros, int]]:
    return set(msgspec.msgpack.decode(part.state, type=list[tuple[int, int]]))
