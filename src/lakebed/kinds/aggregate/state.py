"""The state of an aggregate, whatever the type of its values: open windows, one slot each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from lakebed.kinds.aggregate.before import BEYOND, FIELDS, LastKnown, refresh
from lakebed.kinds.aggregate.windows import Groups, Windows
from lakebed.kinds.kind import Effect, ErasedRange, Rows, Site, Values
from lakebed.kinds.tables import Table
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import Micros


class AggregateState(ABC):
    """Implements `State`, except for the values of windows, which a subclass folds and writes.

    Args:
        table: the table that it writes to.
        fields: columns of the slots besides those of all windows.
        in_order: functions that depend on the order of values, and on the last before a window.
        more: columns of the slots if the policy asks for one of these.
    """

    def __init__(
        self,
        site: Site,
        table: Table,
        fields: Mapping[str, Any],
        in_order: Iterable[str],
        more: Mapping[str, Any],
    ) -> None:
        self._table = table.name
        self._in_order = not set(in_order).isdisjoint(site.policy.functions)
        self._windows = Windows(site, {**fields, **({**FIELDS, **more} if self._in_order else {})})
        self._last_known = LastKnown()
        self._stale = False  # windows may know a later value before them
        self._newest: Micros = 0  # begin of the latest window

    @abstractmethod
    def _fold(self, values: Values, groups: Groups) -> None:
        """Fold values into the slots of their windows."""

    @abstractmethod
    def _columns(self, slots: Ints) -> dict[str, Any]:
        """The columns of the table with the values of these slots."""

    @abstractmethod
    def _to_state(self, slots: Ints) -> Any:
        """The values of these slots that are not in fields, for a snapshot."""

    @abstractmethod
    def _from_state(self, slots: Ints, values: Any) -> None:
        """Take over values that `_to_state` gave."""

    @abstractmethod
    def _evict(self, slot: int) -> None:
        """Delete the values of a slot that are not in fields."""

    @abstractmethod
    def _last(self, slot: int) -> Any:
        """The last value of a window."""

    @abstractmethod
    def _before(self, slot: int) -> Any:
        """The value that a window was begun with."""

    @abstractmethod
    def _begin(self, slot: int, value: Any) -> None:
        """Let a window begin with the last value before it."""

    @property
    def clean(self) -> bool:
        return True  # open windows are the snapshot

    def load(self) -> tuple[int, int]:
        return self._windows.waiting, 0  # bounded by the number of windows, not by messages

    def absorb(self, values: Values) -> None:
        if len(values):
            groups = self._windows.group(values)
            self._fold(values, groups)
            if self._in_order:
                starts = self._windows.slots["start"][groups.slot]
                self._newest = max(self._newest, int(starts.max()))
                self._stale |= len(groups.new) > 0 or int(starts.min()) < self._newest

    def learn(self, former: "AggregateState") -> bool:
        """Learn the last values of a state that has absorbed what came before; True if needed."""
        if not self._in_order:
            return False
        former._refresh()
        slots, known = former._windows.slots, former._last_known
        for channel, time in known.times.items():
            self._last_known.note(channel, time, known.values[channel])
        for slot in slots.used().tolist():
            channel, time = int(slots["channel"][slot]), int(slots["last_time"][slot])
            self._last_known.note(channel, time, former._last(slot))
        self._stale = True
        return True

    def due(self) -> Micros | None:
        return self._windows.due()

    def _refresh(self) -> None:
        """Let windows know the last value before them, as far as it is known by now."""
        if not (self._in_order and self._stale):
            return
        self._stale = False
        slots, sources = refresh(self._windows.slots, self._last_known)
        # all are read before one is written
        found = [self._found(source) for source in sources.tolist()]
        for slot, value in zip(slots.tolist(), found, strict=True):
            self._begin(slot, value)
        self._windows.wait(slots)

    def _found(self, source: int) -> Any:
        if source >= BEYOND:
            return self._last_known.values[source - BEYOND]
        return self._last(source) if source >= 0 else self._before(-1 - source)

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        self._refresh()
        slots = self._windows.drain(now, final)
        if not len(slots):
            return []
        columns = self._windows.columns(slots, offset) | self._columns(slots)
        return [Rows(self._table, pa.table(columns))]

    def cut(self, now: Micros) -> None:
        self._windows.cut(now)

    def rewrite(self) -> None:
        self._windows.rewrite()

    def snapshot(self) -> bytes:
        self._refresh()
        return self._windows.snapshot(self._to_state(self._windows.slots.used()))

    def restore(self, state: bytes) -> None:
        restored = self._windows.restore(state)
        if restored is not None:
            self._from_state(*restored)
            starts = self._windows.slots["start"][restored[0]]
            self._newest, self._stale = int(starts.max(initial=0)), True

    def release(self, now: Micros) -> bool:
        self._refresh()
        leaving = self._windows.evictable(now)
        if self._in_order:
            table = self._windows.slots
            for slot in leaving:
                channel, time = int(table["channel"][slot]), int(table["last_time"][slot])
                self._last_known.note(channel, time, self._last(slot))
        return self._free(leaving)

    def erase(self, gone: ErasedRange) -> None:
        self._free(self._windows.begun_in(gone))
        if self._in_order:
            self._last_known.erase(gone)
            table, used = self._windows.slots, self._windows.slots.used()
            erased = gone.covers(table["channel"][used], table["before_time"][used])
            table["known_before"][used[erased]] = False
            self._stale = True

    def renumber(self, codes: Codes) -> None:
        self._free(self._windows.moved_away(codes))
        self._windows.renumber(codes)
        self._last_known.renumber(codes)

    def _free(self, slots: set[int]) -> bool:
        if slots:
            self._windows.slots.free(slots)
            for slot in slots:
                self._evict(slot)
        return bool(slots)
