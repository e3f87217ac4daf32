"""Open windows of aggregates: when they are written, and when they are evicted.

    absorb ──> group by (topic, window) ──> fold into the window's slot ──> waits
    drain  ──> a row per waiting window, `complete` once its end has passed ──> written
    release ─> windows complete, written and quiet for a while leave memory

Windows end early, or begin late, where `every` or `timezone` is changed: see `Windows.cut` and
`Site.since`. Their rows are marked.

A window is written whole each time, under a version that grows with the offset: a retry, a replay
and a second worker replace the row by an equal or a fuller one. A window that left memory and is
opened again by late data becomes a second *fragment*, named by the offset of its first message;
readers merge fragments. Fragments keep their names under replay because windows leave memory only
together with a checkpoint.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.kinds.aggregate.slots import Slots, keys_of
from lakebed.kinds.columns import expiry, owner_columns, plain, times
from lakebed.kinds.kind import ErasedRange, Site, Values
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import MINUTE, SECOND, Micros
from lakebed.vocabulary.windows import Alignment

QUIET: Micros = 2 * MINUTE
"""How long a complete window stays in memory after its last message."""

FIELDS: dict[str, Any] = {
    "channel": np.int32,
    "start": np.int64,
    "end": np.int64,
    "fragment": np.int64,
    "count": np.int64,
    "first_time": np.int64,
    "first_offset": np.int64,
    "last_time": np.int64,
    "last_offset": np.int64,
    "touched": np.int64,  # receive time of the newest message
    "waits": np.bool_,  # absorbed something since it was written
    "complete": np.bool_,  # written as complete
}


_EARLIEST: Micros = 0
"""No event time lies before 1970, and no table has a window that begins there."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The values of one absorb, ordered by window and, within a window, by time and position.

    Attributes:
        order: int64[k], the row in `Values` of each.
        starts: int64[g], where in `order` each group begins.
        slot: int64[g], the slot of each group's window.
        new: int64[m], the groups whose window was opened by this absorb.
        counts: int64[g], messages in each group.
    """

    order: Ints
    starts: Ints
    slot: Ints
    new: Ints
    counts: Ints

    @property
    def ends(self) -> Ints:
        """int64[g], where in `order` the last of each group stands."""
        return self.starts + self.counts - 1

    def spans(self) -> Iterator[tuple[int, Ints]]:
        """Each group's slot with its rows in `Values`."""
        for slot, start, count in zip(
            self.slot.tolist(), self.starts.tolist(), self.counts.tolist(), strict=True
        ):
            yield slot, self.order[start : start + count]


class Windows:
    """Open windows of one policy in one partition."""

    def __init__(self, site: Site, fields: dict[str, Any]) -> None:
        policy = site.policy
        assert policy.every is not None
        self.site = site
        self._every = policy.every
        self._align = Alignment(policy.every, policy.timezone)
        self.slots = Slots(FIELDS | fields)
        self._waiting_since: Micros | None = None
        self._next_end: Micros | None = None  # earliest end of a window that still runs
        self._drained: Micros = 0
        self._since = site.since
        self._ended = False  # no other state continues the windows in memory

    @property
    def waiting(self) -> int:
        """Windows that changed since they were written; 1 stands for any number."""
        return int(self._waiting_since is not None)

    def group(self, values: Values) -> Groups:
        """Find the window of each value, opening windows as needed."""
        start, end = self._align.bounds(values.time)
        start = np.maximum(start, _EARLIEST)  # in Tokyo the first day of 1970 begins before 1970
        key = _key(values.channel, start)
        if np.all(values.time[1:] >= values.time[:-1]):
            order = np.argsort(key, kind="stable")
        else:
            order = np.lexsort((values.time, key))
        ordered = key[order]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        heads = order[starts]
        slot, new = self.slots.find(keys_of(values.channel[heads], start[heads]))
        counts = np.diff(np.append(starts, len(order)))
        groups = Groups(order, starts, slot, new, counts)
        self._open(values, groups, start, end)
        self._touch(values, groups)
        return groups

    def _open(self, values: Values, groups: Groups, start: Ints, end: Ints) -> None:
        if not len(groups.new):
            return
        slots, heads = groups.slot[groups.new], groups.order[groups.starts[groups.new]]
        table = self.slots
        table["channel"][slots] = values.channel[heads]
        table["start"][slots] = start[heads]
        table["end"][slots] = end[heads]
        # the smallest offset of the group: the fragment's name must not depend on event times
        offsets = np.minimum.reduceat(values.offset[groups.order], groups.starts)
        table["fragment"][slots] = offsets[groups.new]
        running = end[heads][end[heads] > values.received[heads]]
        if len(running):
            earliest = int(running.min())
            self._next_end = min(earliest, self._next_end or earliest)

    def _touch(self, values: Values, groups: Groups) -> None:
        newest = np.maximum.reduceat(values.received[groups.order], groups.starts)
        self.slots["touched"][groups.slot] = newest
        self.slots["waits"][groups.slot] = True
        if self._waiting_since is None:
            self._waiting_since = int(values.received.min())

    def fold_edges(self, values: Values, groups: Groups) -> tuple[Ints, Ints]:
        """Keep the time and position of each window's first and last value.

        Returns:
            the groups whose head became the window's first value, and those whose tail became its
            last: the caller copies the values themselves.
        """
        table, slot = self.slots, groups.slot
        new = np.zeros(len(slot), np.bool_)
        new[groups.new] = True
        head, tail = groups.order[groups.starts], groups.order[groups.ends]
        # within equal times the earlier position is first; offsets of this absorb are all larger
        first = np.flatnonzero(new | (values.time[head] < table["first_time"][slot]))
        last = np.flatnonzero(new | (values.time[tail] >= table["last_time"][slot]))
        table["first_time"][slot[first]] = values.time[head[first]]
        table["first_offset"][slot[first]] = values.offset[head[first]]
        table["last_time"][slot[last]] = values.time[tail[last]]
        table["last_offset"][slot[last]] = values.offset[tail[last]]
        return first, last

    def due(self) -> Micros | None:
        """The buffer's end for windows that wait; for others their end, but not too often."""
        buffer = self.site.policy.buffer
        moments = []
        if self._waiting_since is not None:
            moments.append(self._waiting_since + buffer)
        if self._next_end is not None:
            moments.append(max(self._next_end, self._drained + buffer))
        return min(moments, default=None)

    def drain(self, now: Micros, final: bool) -> Ints:
        """The slots to write now; marks them written."""
        due = self.due()
        if not final and (due is None or due > now):
            return np.zeros(0, np.int64)
        used, table = self.slots.used(), self.slots
        ended = table["end"][used] <= now
        chosen: Ints = used[table["waits"][used] | (ended & ~table["complete"][used])]
        table["waits"][chosen] = False
        table["complete"][chosen] |= table["end"][chosen] <= now
        self._waiting_since, self._drained = None, now
        running = table["end"][used[~ended]]
        self._next_end = int(running.min()) if len(running) else None
        return chosen

    def cut(self, now: Micros) -> None:
        """Mark the windows that have not ended by `now`; they wait to be written again."""
        used, table = self.slots.used(), self.slots
        open_ones = used[~table["complete"][used] & (table["end"][used] > now)]
        table["waits"][open_ones] = True
        self._ended = True

    def wait(self, slots: Ints) -> None:
        """Let windows wait to be written again."""
        if len(slots):
            table = self.slots
            table["waits"][slots] = True
            if self._waiting_since is None:
                self._waiting_since = int(table["touched"][slots].min())

    def rewrite(self) -> None:
        """Let all windows in memory wait to be written again."""
        self.slots["waits"][self.slots.used()] = True

    def columns(self, slots: Ints, offset: int) -> dict[str, Any]:
        """The columns that rows of both tables of aggregates have."""
        table = self.slots
        complete = table["complete"][slots]
        columns = owner_columns(self.site, table["channel"][slots])
        for name in ("start", "end"):
            columns[name] = plain((table[name][slots] // SECOND).astype(np.uint32))
        for name in ("first_time", "last_time"):
            columns[name] = times(table[name][slots])
        for name in ("fragment", "first_offset", "last_offset"):
            columns[name] = plain(table[name][slots])
        columns["count"] = plain(table["count"][slots].astype(np.uint64))
        cut = table["start"][slots] <= self._since if self._since else np.zeros_like(complete)
        if self._ended:
            cut |= ~complete
        columns["complete"] = plain(complete.astype(np.uint8) | (cut.astype(np.uint8) << 1))
        # newer replaces older; at the same offset complete replaces incomplete
        columns["version"] = plain(offset * 2 + complete)
        columns["expires"] = expiry(table["end"][slots], self.site.policy.span)
        return columns

    def evictable(self, now: Micros) -> set[int]:
        """Slots that are complete, written and quiet."""
        used, table = self.slots.used(), self.slots
        rest = table["complete"][used] & ~table["waits"][used]
        quiet = table["touched"][used] < now - QUIET
        return set(used[rest & quiet].tolist())

    def begun_in(self, gone: ErasedRange) -> set[int]:
        """Slots of windows that began in the range."""
        used, table = self.slots.used(), self.slots
        return set(used[gone.covers(table["channel"][used], table["start"][used])].tolist())

    def moved_away(self, codes: Codes) -> set[int]:
        """Slots of channels that belong to another partition now."""
        used = self.slots.used()
        return set(used[codes[self.slots["channel"][used]] < 0].tolist())

    def renumber(self, codes: Codes) -> None:
        """Change the numbers of channels; call it after the slots of `moved_away` are freed."""
        used = self.slots.used()
        channel = self.slots["channel"][used] = codes[self.slots["channel"][used]]
        self.slots.rename(keys_of(channel, self.slots["start"][used]))

    def snapshot(self, extra: Any) -> bytes:
        state = (self._every, self.site.policy.timezone, self.slots.to_bytes(), extra)
        # an earlier version of Lakebed reads four of them
        return msgspec.msgpack.encode((*state, self._since) if self._since else state)

    def restore(self, state: bytes) -> tuple[Ints, Any] | None:
        """Fill the slots from a snapshot; None if its windows were aligned otherwise."""
        every, timezone, slots, extra, *since = msgspec.msgpack.decode(state)
        if (every, timezone) != (self._every, self.site.policy.timezone):
            return None
        self._since = max([self._since, *since])
        restored = self.slots.from_bytes(slots)
        self.slots["start"][restored] = np.maximum(self.slots["start"][restored], _EARLIEST)
        waits = self.slots["waits"][restored]
        if waits.any():
            self._waiting_since = int(self.slots["touched"][restored][waits].min())
        opened = self.slots["end"][restored][~self.slots["complete"][restored]]
        self._next_end = int(opened.min()) if len(opened) else None
        return restored, extra


def _key(channel: Codes, start: Ints) -> NDArray[np.uint16] | Ints:
    """One number per channel and window. Numbers of 16 bits are sorted ten times as fast: they do
    where all is in one window, as mostly what comes at the same time is."""
    if channel.max() < 2**16 and np.all(start == start[0]):
        return channel.astype(np.uint16)
    return keys_of(channel, start)
