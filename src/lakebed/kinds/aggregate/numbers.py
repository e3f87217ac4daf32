"""`aggregate` of numbers: min, max, sum, avg, count, first, last, stddev, and quantile sketches.

Columns in, columns out: a batch is grouped by window once, reduced by `reduceat`, and folded into
the windows' slots. Mean and M2 (the sum of squared distances from the mean) merge by the formula
of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances" (1979).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.kinds.aggregate.sequence import NumberOrder
from lakebed.kinds.aggregate.sketch import bins_of
from lakebed.kinds.aggregate.state import AggregateState
from lakebed.kinds.aggregate.windows import Groups
from lakebed.kinds.columns import plain
from lakebed.kinds.kind import Site, Values
from lakebed.kinds.tables import IN_ORDER, WINDOW, WINDOW_KEY, Column, Table
from lakebed.vocabulary.messages import Ints

AGGREGATE = Table(
    "aggregate",
    {
        **WINDOW,
        **dict.fromkeys(("sum", "min", "max", "first", "last", "mean", "m2"), Column("float64")),
        "bins": Column("int32", many=True),
        "counts": Column("uint32", many=True),
        **IN_ORDER,
        "levels": Column("float64", many=True),
        "grown": Column("float64"),
        "area": Column("float64"),
    },
    WINDOW_KEY,
    partition=(("month", "start"),),
    version="version",
    expires=True,
)

FIELDS = dict.fromkeys(("sum", "min", "max", "first", "last", "mean", "m2"), np.float64)
_QUANTILES = {"p50", "p95", "p99"}
ORDERED = ("increase", "rate", "delta", "time_weighted_avg")
_STATE_SIZE = 96  # bytes of the fixed columns of a window
_BIN_SIZE = 8  # bytes of one bucket of a sketch
_POINT_SIZE = 16  # bytes of a time with its value


_SCALE = 2.0**40  # more than the messages of a window


def _means(
    column: NDArray[np.float64], starts: Ints, n: Ints, sums: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The means of groups; they lie within float64 even where the sums do not."""
    means: NDArray[np.float64] = sums / n
    if not np.isfinite(means).all():
        scaled = np.add.reduceat(column / _SCALE, starts) / n * _SCALE
        means = np.where(np.isfinite(means), means, scaled)
    return means


class NumbersState(AggregateState):
    """
    Args:
        table: `AGGREGATE`, or one that has more columns.
        fields: `FIELDS`, or more of them.
    """

    def __init__(
        self, site: Site, table: Table = AGGREGATE, fields: Mapping[str, Any] = FIELDS
    ) -> None:
        super().__init__(site, table, fields, ORDERED, {"before": np.float64})
        self._bits: int | None = site.policy.options.get("counter_bits")
        self._orders: dict[int, NumberOrder] = {}
        self._sketches: dict[int, Counter[int]] | None = None
        if _QUANTILES & set(site.policy.functions):
            self._sketches = {}

    def _fold(self, values: Values, groups: Groups) -> None:
        assert values.numbers is not None
        self._fold_moments(values.numbers[groups.order], groups)
        first, last = self._windows.fold_edges(values, groups)
        self._fold_edges(values.numbers, groups, first, last)
        if self._sketches is not None:
            self._sketch(values.numbers, groups)
        if self._in_order:
            numbers = values.numbers.astype(np.float64, copy=False)
            for slot, rows in groups.spans():
                order = self._orders.get(slot)
                if order is None:
                    order = self._orders[slot] = NumberOrder(self._bits)
                arrived = np.sort(rows)
                order.add(values.time[arrived], numbers[arrived])

    def _last(self, slot: int) -> float:
        return float(self._windows.slots["last"][slot])

    def _before(self, slot: int) -> float:
        return float(self._windows.slots["before"][slot])

    def _begin(self, slot: int, value: float) -> None:
        self._windows.slots["before"][slot] = value

    def _fold_edges(self, column: NDArray[Any], groups: Groups, first: Ints, last: Ints) -> None:
        """Keep the first and last values of the windows to which these groups gave one."""
        table = self._windows.slots
        table["first"][groups.slot[first]] = column[groups.order[groups.starts[first]]]
        table["last"][groups.slot[last]] = column[groups.order[groups.ends[last]]]

    def _fold_moments(self, column: NDArray[Any], groups: Groups) -> None:
        """Fold the groups' numbers (ordered as `groups.order`) into their slots."""
        table, slot, starts, n = self._windows.slots, groups.slot, groups.starts, groups.counts
        opened = slot[groups.new]
        table["min"][opened], table["max"][opened] = np.inf, -np.inf
        table["min"][slot] = np.minimum(table["min"][slot], np.minimum.reduceat(column, starts))
        table["max"][slot] = np.maximum(table["max"][slot], np.maximum.reduceat(column, starts))
        with np.errstate(over="ignore", invalid="ignore"):  # a sum may leave float64: it is inf
            sums = np.add.reduceat(column, starts)
            mean = _means(column, starts, n, sums)
            m2 = np.add.reduceat(np.square(column - np.repeat(mean, n)), starts)
            before = table["count"][slot]
            total = before + n
            delta = mean - table["mean"][slot]
            table["m2"][slot] += m2 + np.square(delta) * before * n / total
            near = table["mean"][slot] + delta * n / total
            # where the distance leaves float64 the mean does not
            far = table["mean"][slot] * (before / total) + mean * (n / total)
            table["mean"][slot] = np.where(np.isfinite(near), near, far)
            table["sum"][slot] += sums
        table["count"][slot] = total

    def _sketch(self, numbers: NDArray[Any], groups: Groups) -> None:
        assert self._sketches is not None
        buckets = bins_of(numbers)
        for slot, rows in groups.spans():
            sketch = self._sketches.setdefault(slot, Counter())
            sketch.update(buckets[rows].tolist())

    def _columns(self, slots: Ints) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name in FIELDS:
            columns[name] = plain(self._windows.slots[name][slots])
        sizes = np.full(len(slots), _STATE_SIZE, np.uint32)
        if self._sketches is not None:
            bins, counts = self._sketch_columns(slots)
            columns["bins"] = pa.array(bins, pa.list_(pa.int32()))
            columns["counts"] = pa.array(counts, pa.list_(pa.uint32()))
            sizes += np.array([_BIN_SIZE * len(b) for b in bins], np.uint32)
        if self._in_order:
            columns |= self._order_columns(slots, sizes)
        columns["size"] = plain(sizes)
        return columns

    def _order_columns(self, slots: Ints, sizes: NDArray[np.uint32]) -> dict[str, Any]:
        """The columns of functions that depend on the order; their size is added."""
        table = self._windows.slots
        times, levels = [], []
        sums = np.zeros((2, len(slots)))
        for row, slot in enumerate(slots.tolist()):
            order = self._orders.get(slot)
            if order is None:  # open since before the policy asked for one of them
                times.append(np.zeros(0, np.int64))
                levels.append(np.zeros(0))
                continue
            moments, values, sums[0, row], sums[1, row] = order.piece()
            if table["known_before"][slot]:
                moments = np.append(table["before_time"][slot], moments)
                values = np.append(table["before"][slot], values)
            times.append(moments)
            levels.append(values)
            sizes[row] += _POINT_SIZE * len(moments)
        return {
            "moments": pa.array(times, pa.list_(pa.int64())),
            "levels": pa.array(levels, pa.list_(pa.float64())),
            "grown": plain(sums[0]),
            "area": plain(sums[1]),
        }

    def _sketch_columns(self, slots: Ints) -> tuple[list[list[int]], list[list[int]]]:
        assert self._sketches is not None
        bins, counts = [], []
        for slot in slots.tolist():
            sketch = self._sketches.get(slot, Counter())
            bins.append(sorted(sketch))
            counts.append([sketch[bucket] for bucket in bins[-1]])
        return bins, counts

    def _to_state(self, slots: Ints) -> Any:
        sketches = None
        if self._sketches is not None:
            sketches = [dict(self._sketches.get(slot, {})) for slot in slots.tolist()]
        if not self._in_order:
            return sketches  # as versions without such functions have it
        known = (self._orders.get(slot) for slot in slots.tolist())
        orders = [order and order.to_state() for order in known]
        return {"sketches": sketches, "orders": orders, "last_known": self._last_known.to_state()}

    def _from_state(self, slots: Ints, values: Any) -> None:
        if isinstance(values, dict):
            if self._in_order:
                self._restore_orders(slots, values)
            values = values["sketches"]
        if self._sketches is not None and values is not None:
            pairs = zip(slots.tolist(), values, strict=True)
            self._sketches = {slot: Counter(sketch) for slot, sketch in pairs}

    def _restore_orders(self, slots: Ints, values: dict[str, Any]) -> None:
        for slot, state in zip(slots.tolist(), values["orders"], strict=True):
            if state:
                self._orders[slot] = NumberOrder.from_state(state, self._bits)
        self._last_known.from_state(values["last_known"])

    def _evict(self, slot: int) -> None:
        self._orders.pop(slot, None)
        if self._sketches is not None:
            self._sketches.pop(slot, None)
