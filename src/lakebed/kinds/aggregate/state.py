"""The state of an aggregate, whatever the type of its values: open windows, one slot each."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

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
    """

    def __init__(self, site: Site, table: Table, fields: Mapping[str, Any]) -> None:
        self._table = table.name
        self._windows = Windows(site, dict(fields))

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

    @property
    def clean(self) -> bool:
        return True  # open windows are the snapshot

    def load(self) -> tuple[int, int]:
        return self._windows.waiting, 0  # bounded by the number of windows, not by messages

    def absorb(self, values: Values) -> None:
        if len(values):
            self._fold(values, self._windows.group(values))

    def due(self) -> Micros | None:
        return self._windows.due()

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
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
        return self._windows.snapshot(self._to_state(self._windows.slots.used()))

    def restore(self, state: bytes) -> None:
        restored = self._windows.restore(state)
        if restored is not None:
            self._from_state(*restored)

    def release(self, now: Micros) -> bool:
        return self._free(self._windows.evictable(now))

    def erase(self, gone: ErasedRange) -> None:
        self._free(self._windows.begun_in(gone))

    def renumber(self, codes: Codes) -> None:
        self._free(self._windows.moved_away(codes))
        self._windows.renumber(codes)

    def _free(self, slots: set[int]) -> bool:
        if slots:
            self._windows.slots.free(slots)
            for slot in slots:
                self._evict(slot)
        return bool(slots)
