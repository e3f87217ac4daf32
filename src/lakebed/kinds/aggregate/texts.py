"""`aggregate` of texts: count, unique, first, last, min, max, top, mode, durations.

`unique` is exact up to `sketch.K` different texts in a window, and an estimate above. `top` is
exact up to `CAPACITY` different texts. Above, a new text replaces the rarest one and takes over its
count, so counts may be too high (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent
and Top-k Elements in Data Streams", 2005).
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.kinds.aggregate.sequence import TextOrder
from lakebed.kinds.aggregate.sketch import K, hash_text, smallest
from lakebed.kinds.aggregate.state import AggregateState
from lakebed.kinds.aggregate.windows import Groups
from lakebed.kinds.kind import Site, Values
from lakebed.kinds.tables import IN_ORDER, WINDOW, WINDOW_KEY, Column, Table
from lakebed.vocabulary.messages import Ints

AGGREGATE_TEXT = Table(
    "aggregate_text",
    {
        **WINDOW,
        **dict.fromkeys(("min", "max", "first", "last"), Column("text")),
        "hashes": Column("uint64", many=True),
        "tops": Column("text", many=True),
        "counts": Column("uint64", many=True),
        **IN_ORDER,
        "levels": Column("text", many=True),
        "states": Column("text", many=True),
        "spans": Column("int64", many=True),  # microseconds; one more than `states`: the others
    },
    WINDOW_KEY,
    partition=(("month", "start"),),
    version="version",
    expires=True,
)

CAPACITY = 1024
"""Different texts of a window that are counted one by one for `top`."""

ORDERED = ("durations",)
_STATE_SIZE = 64  # bytes of the fixed columns of a window


@dataclass(slots=True)
class _Texts:
    """The state of a window's texts; `hashes` and `top` only if the policy asks for them."""

    first: str = ""
    last: str = ""
    min: str = ""
    max: str = ""
    hashes: set[int] = field(default_factory=set)
    top: Counter[str] = field(default_factory=Counter)
    before: str = ""
    order: TextOrder | None = None

    @property
    def size(self) -> int:
        texts = (self.first, self.last, self.min, self.max, *self.top)
        return _STATE_SIZE + sum(map(len, texts)) + 8 * (len(self.hashes) + len(self.top))


class TextsState(AggregateState):
    def __init__(self, site: Site) -> None:
        super().__init__(site, AGGREGATE_TEXT, {}, ORDERED, {})
        self._texts: dict[int, _Texts] = {}
        self._unique = "unique" in site.policy.functions
        self._top = not {"top", "mode"}.isdisjoint(site.policy.functions)

    def _fold(self, values: Values, groups: Groups) -> None:
        assert values.texts is not None
        texts = values.texts
        self._windows.slots["count"][groups.slot] += groups.counts
        for row in groups.new.tolist():
            text = texts[groups.order[groups.starts[row]]]
            self._texts[int(groups.slot[row])] = _Texts(min=text, max=text)
        first, last = self._windows.fold_edges(values, groups)
        for row in first.tolist():
            self._texts[int(groups.slot[row])].first = texts[groups.order[groups.starts[row]]]
        for row in last.tolist():
            self._texts[int(groups.slot[row])].last = texts[groups.order[groups.ends[row]]]
        for slot, rows in groups.spans():
            self._fold_texts(self._texts[slot], Counter(texts[row] for row in rows.tolist()))
            if self._in_order:
                window = self._texts[slot]
                window.order = window.order or TextOrder()
                arrived = np.sort(rows)
                said = np.array([texts[row] for row in arrived.tolist()], np.object_)
                window.order.add(values.time[arrived], said)

    def _last(self, slot: int) -> str:
        return self._texts[slot].last

    def _before(self, slot: int) -> str:
        return self._texts[slot].before

    def _begin(self, slot: int, value: str) -> None:
        self._texts[slot].before = value

    def _fold_texts(self, window: _Texts, counts: Counter[str]) -> None:
        window.min = min(window.min, min(counts))
        window.max = max(window.max, max(counts))
        if self._unique:
            window.hashes.update(map(hash_text, counts))
            if len(window.hashes) > 2 * K:
                window.hashes = set(smallest(window.hashes))
        if self._top:
            _count_top(window.top, counts)

    def _columns(self, slots: Ints) -> dict[str, Any]:
        windows = [self._texts[slot] for slot in slots.tolist()]
        columns: dict[str, Any] = {}
        for name in ("min", "max", "first", "last"):
            columns[name] = pa.array([getattr(w, name) for w in windows], pa.string())
        hashes = [smallest(w.hashes) for w in windows]
        columns["hashes"] = pa.array(hashes, pa.list_(pa.uint64()))
        columns["tops"] = pa.array([list(w.top) for w in windows], pa.list_(pa.string()))
        counts = [list(w.top.values()) for w in windows]
        columns["counts"] = pa.array(counts, pa.list_(pa.uint64()))
        sizes = np.array([w.size for w in windows], np.uint32)
        if self._in_order:
            columns |= self._order_columns(slots, sizes)
        columns["size"] = pa.array(sizes)
        return columns

    def _order_columns(self, slots: Ints, sizes: NDArray[np.uint32]) -> dict[str, Any]:
        """The columns of functions that depend on the order; their size is added."""
        table = self._windows.slots
        pieces: list[tuple[list[Any], ...]] = []
        for row, slot in enumerate(slots.tolist()):
            window = self._texts[slot]
            if window.order is None:  # open since before the policy asked for one of them
                pieces.append(([], [], [], []))
                continue
            times, texts, spans = window.order.piece()
            if table["known_before"][slot]:
                times.insert(0, int(table["before_time"][slot]))
                texts.insert(0, window.before)
            others = spans.pop(None, 0)
            states: list[str] = [text for text in spans if text is not None]
            pieces.append((times, texts, states, [*spans.values(), others]))
            sizes[row] += sum(map(len, texts)) + sum(map(len, states)) + 8 * (len(spans) + 4)
        kinds = {"moments": pa.int64(), "levels": pa.string(), "states": pa.string()}
        columns = zip(*pieces, strict=True)
        named = zip([*kinds.items(), ("spans", pa.int64())], columns, strict=True)
        return {name: pa.array(list(column), pa.list_(kind)) for (name, kind), column in named}

    def _to_state(self, slots: Ints) -> Any:
        used = [self._texts[slot] for slot in slots.tolist()]
        texts = [(w.first, w.last, w.min, w.max, list(w.hashes), list(w.top.items())) for w in used]
        if not self._in_order:
            return texts  # as versions without such functions have it
        orders = [(w.before, w.order and w.order.to_state()) for w in used]
        return {"texts": texts, "orders": orders, "last_known": self._last_known.to_state()}

    def _from_state(self, slots: Ints, values: Any) -> None:
        if isinstance(values, dict):
            self._texts_from_state(slots, values["texts"])
            if self._in_order:
                for slot, (before, state) in zip(slots.tolist(), values["orders"], strict=True):
                    self._texts[slot].before = before
                    self._texts[slot].order = state and TextOrder.from_state(state)
                self._last_known.from_state(values["last_known"])
        else:
            self._texts_from_state(slots, values)

    def _texts_from_state(self, slots: Ints, values: Any) -> None:
        for slot, (first, last, low, high, hashes, top) in zip(slots.tolist(), values, strict=True):
            counts = Counter(dict(top))
            self._texts[slot] = _Texts(first, last, low, high, set(hashes), counts)

    def _evict(self, slot: int) -> None:
        del self._texts[slot]


def _count_top(top: Counter[str], counts: Counter[str]) -> None:
    """Space-saving: without room a text replaces the rarest one, and takes over its count."""
    for text in sorted(counts):  # a fixed order, so that replay gives the same
        if text in top or len(top) < CAPACITY:
            top[text] += counts[text]
        else:
            rarest, floor = min(top.items(), key=lambda item: (item[1], item[0]))
            del top[rarest]
            top[text] = floor + counts[text]
