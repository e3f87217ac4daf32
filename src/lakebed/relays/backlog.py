"""How many bytes lie behind each offset of a partition, and since when: for lags and `hold`.

    offset    0 ──── 4,000 ──── 8,000 ──── 12,000   marks, as many as are remembered
    bytes     0      1.2 MB     2.3 MB     3.9 MB   of all messages before
    received  9:00   9:01       9:02       9:04

Between two marks both are interpolated. Where there are too many marks every second one goes, so
memory is bounded and the newest are as fine as the oldest.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec
import numpy as np

from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import Micros

_MOST = 2_048
_STEP = 64 * 1024  # bytes between two marks, at first


class _Saved(msgspec.Struct):
    offsets: list[int]
    bytes: list[int]
    times: list[int]
    total: int
    step: int


class Backlog:
    """Of one partition. Used by one thread, but `behind` and `since` by any."""

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._bytes: list[int] = []
        self._times: list[Micros] = []
        self._total = 0
        self._step = _STEP

    def note(self, entries: Sequence[Entry]) -> None:
        """Take in what was read, in order."""
        for entry in entries:
            if not len(entry.batch):
                continue
            if not self._bytes or self._total - self._bytes[-1] >= self._step:
                self._mark(entry.offset, int(entry.batch.received[0]))
            self._total += (
                sum(map(len, entry.batch.payloads)) + int(np.size(entry.batch.channel)) * 16
            )

    def behind(self, offset: int) -> int:
        """Bytes of the messages at or behind an offset, about; what was not seen is not counted."""
        offsets, sizes = self._offsets, self._bytes
        at = bisect_right(offsets, offset) - 1
        if at < 0:
            return self._total - (sizes[0] if sizes else self._total)
        if at + 1 >= len(offsets):
            return self._total - sizes[at]
        part = (offset - offsets[at]) / max(1, offsets[at + 1] - offsets[at])
        return int(self._total - sizes[at] - part * (sizes[at + 1] - sizes[at]))

    def since(self, offset: int) -> Micros:
        """When the message at an offset was received, about; 0 where nothing is known."""
        at = bisect_right(self._offsets, offset) - 1
        return self._times[max(0, at)] if self._times else 0

    def forget(self, below: int) -> None:
        """Nothing asks for less than this offset any more."""
        at = bisect_right(self._offsets, below) - 1
        if at > 0:
            self._offsets, self._bytes, self._times = (
                self._offsets[at:],
                self._bytes[at:],
                self._times[at:],
            )

    def save(self) -> bytes:
        return msgspec.msgpack.encode(
            _Saved(self._offsets, self._bytes, self._times, self._total, self._step)
        )

    def restore(self, data: bytes) -> None:
        saved = msgspec.msgpack.decode(data, type=_Saved)
        self._offsets, self._bytes, self._times = saved.offsets, saved.bytes, saved.times
        self._total, self._step = saved.total, saved.step

    def _mark(self, offset: int, received: Micros) -> None:
        if len(self._offsets) >= _MOST:
            self._offsets, self._bytes, self._times = (
                self._offsets[::2],
                self._bytes[::2],
                self._times[::2],
            )
            self._step *= 2
        self._offsets.append(offset)
        self._bytes.append(self._total)
        self._times.append(received)
