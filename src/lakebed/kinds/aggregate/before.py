"""What was the value when a window began: the last one before it.

Windows of a channel that are in memory know each other's last values. When a window leaves, its
last value is remembered for the channel. So what a window is begun with depends on the values
alone, not on their order of arrival, as long as it is in memory.

    memory of the channel ─────────┐
    last values of other windows ──┼──the latest before its start──> window
    what those were begun with ────┘
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lakebed.kinds.aggregate.slots import Slots
from lakebed.kinds.kind import ErasedRange
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import Micros

FIELDS = {"known_before": np.bool_, "before_time": np.int64}
"""Fields of the slots: whether a value before the window is known, and its time."""


def refresh(slots: Slots, memory: "LastKnown") -> tuple[Ints, Ints]:
    """Find for each window the latest value before it that is known.

    Returns:
        int64[m], the slots for which a later one was found than they knew, and int64[m], its
        source: the number of a slot whose last value it is; `-1 - slot`, what the window of that
        slot began with; or `BEYOND + channel`, what is remembered for the channel. The times in
        `FIELDS` are up to date.
    """
    used = slots.used()
    channel = slots["channel"][used].astype(np.int64)
    knows = used[slots["known_before"][used]]
    remembered = np.fromiter(memory.times, np.int64, len(memory.times))
    n = len(used) + len(knows) + len(remembered)
    at = np.concatenate(
        [
            slots["last_time"][used],
            slots["before_time"][knows],
            np.fromiter(memory.times.values(), np.int64, len(memory.times)),
            slots["start"][used],
        ]
    )
    of = np.concatenate([channel, slots["channel"][knows].astype(np.int64), remembered, channel])
    source = np.concatenate([used, -1 - knows, BEYOND + remembered])
    asks = np.arange(len(at)) >= n
    order = np.lexsort((~asks, at, of))  # a window before what lies at its very begin
    latest = np.maximum.accumulate(np.where(asks[order], -1, np.arange(len(order))))
    place = np.flatnonzero(asks[order])
    found = order[latest[place]]
    slot = used[order[place] - n]
    hit = (latest[place] >= 0) & (of[found] == of[order[place]])
    hit &= ~slots["known_before"][slot] | (at[found] > slots["before_time"][slot])
    slot, found = slot[hit], found[hit]
    slots["known_before"][slot] = True
    slots["before_time"][slot] = at[found]
    return slot, source[found]


BEYOND = 2**40
"""More than the number of any slot."""


@dataclass(slots=True)
class LastKnown:
    """By channel, the last value of windows that have left memory, and its time."""

    times: dict[int, Micros] = field(default_factory=dict)
    values: dict[int, Any] = field(default_factory=dict)

    def note(self, channel: int, time: Micros, value: Any) -> None:
        if time >= self.times.get(channel, time):
            self.times[channel], self.values[channel] = time, value

    def erase(self, gone: ErasedRange) -> None:
        for channel in gone.channels & self.times.keys():
            if gone.start <= self.times[channel] < gone.end:
                del self.times[channel], self.values[channel]

    def renumber(self, codes: Codes) -> None:
        """Give channels their new numbers; those that moved away are forgotten."""
        pairs = [(int(codes[channel]), channel) for channel in self.times]
        stay = [(new, old) for new, old in pairs if new >= 0]
        self.times = {new: self.times[old] for new, old in stay}
        self.values = {new: self.values[old] for new, old in stay}

    def to_state(self) -> Any:
        return [(channel, self.times[channel], self.values[channel]) for channel in self.times]

    def from_state(self, state: Any) -> None:
        for channel, time, value in state:
            self.note(channel, time, value)
