"""`aggregate` of integers: what numbers have, and sum, extremes, first and last exactly.

A sum is kept in two halves, `value >> 32` and the 32 bits below, so that none of the sums leaves
int64, however many values a window has; readers put them together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lakebed.kinds.aggregate.numbers import AGGREGATE, FIELDS, NumbersState
from lakebed.kinds.aggregate.windows import Groups
from lakebed.kinds.columns import plain
from lakebed.kinds.kind import Site
from lakebed.kinds.tables import WINDOW_KEY, Column, Table
from lakebed.vocabulary.messages import Ints

_EXACT = ("i_min", "i_max", "i_first", "i_last", "i_high", "i_low")

AGGREGATE_INTEGER = Table(
    "aggregate_integer",
    {**AGGREGATE.columns, **dict.fromkeys(_EXACT, Column("int64"))},
    WINDOW_KEY,
    partition=(("month", "start"),),
    version="version",
    expires=True,
)

_FIELDS = FIELDS | dict.fromkeys(_EXACT, np.int64)
_HALF = 32  # bits
_LEAST, _GREATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class IntegersState(NumbersState):
    def __init__(self, site: Site) -> None:
        super().__init__(site, AGGREGATE_INTEGER, _FIELDS)

    def _fold_moments(self, column: NDArray[Any], groups: Groups) -> None:
        super()._fold_moments(column.astype(np.float64), groups)
        table, slot, starts = self._windows.slots, groups.slot, groups.starts
        opened = slot[groups.new]
        table["i_min"][opened], table["i_max"][opened] = _GREATEST, _LEAST
        least, most = np.minimum.reduceat(column, starts), np.maximum.reduceat(column, starts)
        table["i_min"][slot] = np.minimum(table["i_min"][slot], least)
        table["i_max"][slot] = np.maximum(table["i_max"][slot], most)
        table["i_high"][slot] += np.add.reduceat(column >> _HALF, starts)
        table["i_low"][slot] += np.add.reduceat(column & (2**_HALF - 1), starts)

    def _fold_edges(self, column: NDArray[Any], groups: Groups, first: Ints, last: Ints) -> None:
        super()._fold_edges(column, groups, first, last)
        table = self._windows.slots
        table["i_first"][groups.slot[first]] = column[groups.order[groups.starts[first]]]
        table["i_last"][groups.slot[last]] = column[groups.order[groups.ends[last]]]

    def _columns(self, slots: Ints) -> dict[str, Any]:
        exact = {name: plain(self._windows.slots[name][slots]) for name in _EXACT}
        return super()._columns(slots) | exact
