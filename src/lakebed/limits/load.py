"""Load: messages and bytes per second of topics, units and owners, now and in the last day.

    counts of a batch ──> [ 60 seconds ] ──> [ 60 minutes ] ──> [ 24 hours ]     rings, by row
                                                   with the busiest second of each
    of=1m ──> seconds     of=1h ──> minutes     of=1d ──> hours

Of the first `EXACT` messages in a second each is counted. Of more, whole batches are left out, and
those that are counted stand for them, so that totals stay right and the cost is bounded.

Memory is bounded: a table has so many rows, of 1.7 KiB each, and where more keys come, the rows
with the least load are given to them. So the heaviest are always there.
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Batch, Channel

SPANS: Final = {"1m": 60, "1h": 3600, "1d": 86400}
"""Seconds that a question may be about."""

TOPICS = 4096
UNITS = 16384
OWNERS = 4096

EXACT = 5000
"""Messages per second that are counted one by one."""

_SECONDS, _MINUTES, _HOURS = 60, 60, 24  # slots of the rings
_NOW = 5  # complete seconds that `now` is the mean of
_EVICTED = 16  # part of a full table that is given away at once: one in so many
_FIRST = 64  # rows of a new table

K = TypeVar("K", bound=Hashable)
Floats = NDArray[np.float32]


class Load(NamedTuple):
    """Messages and bytes per second: now, on average, and in the busiest second."""

    messages_now: float
    messages_mean: float
    messages_peak: float
    bytes_now: float
    bytes_mean: float
    bytes_peak: float


def span_of(seconds: float) -> float:
    """The interval whose sums are those of this one, in seconds.

    Of all intervals there are so few that the sums of each can be made for all keys at once.
    """
    if seconds <= _SECONDS:
        return float(min(_SECONDS - 1, max(1, int(seconds))))
    if seconds <= SPANS["1h"]:
        return min(SPANS["1h"], seconds // 60 * 60 + 1)
    return min(_HOURS, seconds // 3600) * 3600 + 1


class LoadTable(Generic[K]):
    """The rings of many keys, which turn together.

    Args:
        capacity: rows at most.
        at: seconds, of the clock that later calls pass too.

    Attributes:
        evicted: whether a key was ever let go of, so that small ones may be missing.
    """

    def __init__(self, capacity: int, at: float) -> None:
        self.evicted = False
        self._capacity = capacity
        self._began = at
        self._second = int(at)
        self._rows: dict[K, int] = {}
        self._keys: list[K] = []
        self._allocate(min(capacity, _FIRST))

    def _allocate(self, rows: int) -> None:
        # last axis: messages, bytes; of minutes and hours also their busiest seconds
        self._seconds = np.zeros((rows, _SECONDS, 2), np.float32)
        self._minutes = np.zeros((rows, _MINUTES, 4), np.float32)
        self._hours = np.zeros((rows, _HOURS, 4), np.float32)

    def add(self, keys: Sequence[K], messages: Sequence[float], sizes: Sequence[float],
            at: float) -> None:  # fmt: skip
        """Count messages and their bytes."""
        self._turn(int(at))
        if len(keys) > self._capacity:  # the heaviest of them
            order = np.argsort(np.asarray(messages))[-self._capacity // 2 :].tolist()
            keys = [keys[i] for i in order]
            messages, sizes = [messages[i] for i in order], [sizes[i] for i in order]
            self.evicted = True
        rows = list(map(self._rows.get, keys))
        if None in rows:
            unknown = [key for key, row in zip(keys, rows, strict=True) if row is None]
            self._admit(list(dict.fromkeys(unknown)))
            rows = list(map(self._rows.get, keys))
        found: Any = [row for row in rows if row is not None]
        if len(found) < len(rows):  # evicted again by others of this call
            kept = [i for i, row in enumerate(rows) if row is not None]
            messages, sizes = [messages[i] for i in kept], [sizes[i] for i in kept]
        slot = self._seconds[:, self._second % _SECONDS]
        index = np.asarray(found, np.intp)
        np.add.at(slot[:, 0], index, np.asarray(messages, np.float32))
        np.add.at(slot[:, 1], index, np.asarray(sizes, np.float32))

    def loads(self, at: float, of: str, most: int | None = None) -> dict[K, Load]:
        """The load of each key that had any in this time; of more than `most`, of the heaviest."""
        self._turn(int(at))
        count = len(self._keys)
        recent = [(self._second - ago) % _SECONDS for ago in range(1, _NOW + 1)]
        complete = self._second - self._began
        now = self._seconds[:count, recent].sum(1) / max(1.0, min(_NOW, complete))
        current = self._seconds[:count, self._second % _SECONDS]
        if of == "1m":
            total, peak = self._seconds[:count].sum(1), self._seconds[:count].max(1)
            covered = _SECONDS - 1 + at % 1
        else:
            ring = self._minutes if of == "1h" else self._hours
            total = ring[:count, :, :2].sum(1) + current
            peak = np.maximum(ring[:count, :, 2:].max(1), current)
            step = 60 if of == "1h" else 3600
            covered = SPANS[of] - step + at % step
        mean = total / max(1.0, min(covered, at - self._began))
        columns = np.stack([now, mean, peak], 1)  # [key, now | mean | peak, messages | bytes]
        rows = np.flatnonzero(total[:, 0])
        if most is not None and len(rows) > most:
            rows = rows[np.argpartition(total[rows, 0], -most)[-most:]]
        return {
            self._keys[row]: Load(*columns[row, :, 0].tolist(), *columns[row, :, 1].tolist())
            for row in rows.tolist()
        }

    def sent_in(self, key: K, seconds: float, at: float) -> tuple[float, float]:
        """Messages and bytes of a key in the last so many seconds, a slot less at most."""
        self._turn(int(at))
        row = self._rows.get(key)
        if row is None:
            return 0.0, 0.0
        messages, size = self._sums(slice(row, row + 1), seconds)[0].tolist()
        return messages, size

    def all_sent_in(self, seconds: float, at: float) -> dict[K, list[float]]:
        """The same of all keys, at the cost of some."""
        self._turn(int(at))
        sums = self._sums(slice(0, len(self._keys)), seconds)
        return dict(zip(self._keys, sums.tolist(), strict=True))

    def _sums(self, rows: slice, seconds: float) -> Floats:
        if seconds <= _SECONDS:
            last = range(1, min(_SECONDS - 1, max(1, int(seconds))) + 1)
            slots = [(self._second - ago) % _SECONDS for ago in last]
            within: Floats = self._seconds[rows][:, slots].sum(1)
            return within
        hourly = seconds > SPANS["1h"]
        ring, step = (self._hours, 3600) if hourly else (self._minutes, 60)
        last = range(min(ring.shape[1], int(seconds // step)))
        slots = [(self._second // step - ago) % ring.shape[1] for ago in last]
        current = self._seconds[rows, self._second % _SECONDS]  # not in the ring yet
        total: Floats = ring[rows][:, slots, :2].sum(1) + current
        return total

    def _turn(self, second: int) -> None:
        """Move on to a second: close the current one, and empty the slots that come."""
        if second <= self._second:
            return
        before = self._second
        closed = self._seconds[:, before % _SECONDS]
        for ring, slot in ((self._minutes, before // 60), (self._hours, before // 3600)):
            into = ring[:, slot % ring.shape[1]]
            into[:, :2] += closed
            np.maximum(into[:, 2:], closed, out=into[:, 2:])
        self._second = second
        for ring, step in ((self._seconds, 1), (self._minutes, 60), (self._hours, 3600)):
            slots = ring.shape[1]
            last, new = before // step, second // step
            for slot in range(max(last + 1, new - slots + 1), new + 1):
                ring[:, slot % slots] = 0

    def _admit(self, keys: Sequence[K]) -> None:
        free = self._capacity - len(self._keys)
        if len(keys) > free:
            self._evict(max(len(keys) - free, self._capacity // _EVICTED))
        for key in keys:
            self._rows[key] = len(self._keys)
            self._keys.append(key)
        have, needed = len(self._seconds), len(self._keys)
        if needed > have:
            rows = min(self._capacity, max(needed, 2 * have))
            former = self._seconds, self._minutes, self._hours
            self._allocate(rows)
            for ring, old in zip((self._seconds, self._minutes, self._hours), former, strict=True):
                ring[:have] = old

    def _evict(self, many: int) -> None:
        """Evict the rows with the least load of the last day; recent load counts more."""
        count = len(self._keys)
        many = min(many, count)
        self.evicted = True
        score = (
            self._hours[:count, :, 0].sum(1)
            + 24 * self._minutes[:count, :, 0].sum(1)
            + 1440 * self._seconds[:count, :, 0].sum(1)
        )
        kept = np.sort(np.argpartition(score, many - 1)[many:])
        for ring in (self._seconds, self._minutes, self._hours):
            ring[: len(kept)] = ring[kept]
            ring[len(kept) : count] = 0
        self._keys = [self._keys[row] for row in kept.tolist()]
        self._rows = {key: row for row, key in enumerate(self._keys)}


class LoadMeter:
    """The load that this process took in. Thread-safe.

    Args:
        clock: seconds, monotonic.

    Attributes:
        lock: held while a table is used.
        topics, owners: of channels, and of owners.
        units: of (owner, uuid).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        at = clock()
        self._clock = clock
        self._began = at
        self._credit, self._credited_at = float(EXACT), at
        self._left_out = 0  # messages since the last batch that was counted
        self.lock = threading.Lock()
        self.topics: LoadTable[Channel] = LoadTable(TOPICS, at)
        self.owners: LoadTable[str] = LoadTable(OWNERS, at)
        self.units: LoadTable[tuple[str, str]] = LoadTable(UNITS, at)

    @property
    def age(self) -> float:
        """Seconds since it began to count."""
        return self._clock() - self._began

    def loads(self, table: LoadTable[K], of: str, most: int | None = None) -> dict[K, Load]:
        """The load of each key of a table, or of the heaviest. Any thread."""
        with self.lock:
            return table.loads(self._clock(), of, most)

    def count(self, batch: Batch) -> None:
        """Count the messages of a batch by topic and owner. Event loop only."""
        at = self._clock()
        credit = min(float(EXACT), self._credit + (at - self._credited_at) * EXACT)
        self._credited_at = at
        if credit <= 0:
            self._credit = credit
            self._left_out += len(batch)
            return
        self._credit = max(credit - len(batch), -float(EXACT))
        stands_for = 1 + self._left_out / len(batch)
        self._left_out = 0
        channels = batch.channels
        sizes = np.fromiter(map(len, batch.payloads), np.float64, len(batch))
        messages: Any = np.bincount(batch.channel, minlength=len(channels))
        size: Any = np.bincount(batch.channel, sizes, len(channels))
        if stands_for > 1:
            messages, size = messages * stands_for, size * stands_for
        owners: dict[str, list[float]] = {}
        first = channels[0].owner if channels else ""
        if all(channel.owner == first for channel in channels):
            owners[first] = [messages.sum(), size.sum()]
        else:
            for channel, many, much in zip(channels, messages.tolist(), size.tolist(), strict=True):
                total = owners.setdefault(channel.owner, [0, 0])
                total[0] += many
                total[1] += much
        with self.lock:
            self.topics.add(channels, messages, size, at)
            totals = list(owners.values())
            self.owners.add(
                list(owners), [total[0] for total in totals], [total[1] for total in totals], at
            )

    def count_units(
        self, units: Sequence[tuple[str, str]], messages: Sequence[int], sizes: Sequence[float]
    ) -> None:
        """Count what units have sent."""
        at = self._clock()
        with self.lock:
            self.units.add(units, messages, sizes, at)
