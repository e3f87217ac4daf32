"""What one task gave since its last checkpoint, for the relays that follow its policy.

Records are noted one by one. Of a window or last value that was written several times since, the
newest is noted: what relays see of changes is thinned out by the distance of checkpoints.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakebed.kinds import KINDS, TABLES
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.kinds.tables import TYPES
from lakebed.outbox.blocks import COLUMNS, Noted, Shape
from lakebed.ports.catalog.last_values import LastValue
from lakebed.ports.catalog.outbox import Gives, OutboxBlock, Stream
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock

MOST_ROWS = 100_000
"""Records that wait in memory before a checkpoint is made for them,"""

MOST_BYTES = 16 * 2**20
"""and their bytes."""


def given_by(keep: str) -> tuple[Gives, ...]:
    """What policies of a kind give, the most usual first."""
    match KINDS[keep].answers:
        case "windows":
            return "finished", "changed"
        case "values":
            return ("changed",)
        case _:
            return ("kept",)


class Outgoing:
    """Notes the effects of one task, as far as its followers ask for them.

    Args:
        clock: the wall clock, microseconds.
    """

    def __init__(
        self, policy: Policy, partition: int, clock: Callable[[], Micros] = wall_clock
    ) -> None:
        self._policy, self._clock = policy, clock
        self._stream = Stream(policy.owner, policy.name, partition)
        self._gives: frozenset[Gives] = frozenset()
        self.clear()

    def clear(self) -> None:
        """Forget what was noted, because it is saved."""
        self._records: list[pa.Table] = []
        self._windows: list[pa.Table] = []
        self._values: dict[tuple[str, str], LastValue] = {}
        self._rows = self._bytes = 0

    def wants(self, gives: Collection[Gives]) -> None:
        """Change what followers ask for."""
        self._gives = frozenset(gives)

    @property
    def waits(self) -> bool:
        """Whether anything was noted."""
        return bool(self._records or self._windows or self._values)

    @property
    def full(self) -> bool:
        """Whether records should not wait any longer. Windows and values are as many as series."""
        return self._rows >= MOST_ROWS or self._bytes >= MOST_BYTES

    def note(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case LastValues(values):
                    if "changed" in self._gives:
                        self._values |= {(one.topic, one.field): one for one in values}
                case Rows(table, rows) if "start" in TABLES[table].columns:
                    self._note_windows(rows)
                case Rows(_, rows):
                    if "kept" in self._gives and len(rows):
                        chosen = _chosen(rows, "records")
                        self._records.append(chosen)
                        self._rows += len(chosen)
                        self._bytes += chosen.nbytes

    def _note_windows(self, rows: pa.Table) -> None:
        if not self._gives & {"finished", "changed"}:
            return
        chosen = _chosen(rows, "windows")
        if "changed" not in self._gives:
            chosen = chosen.filter(pc.greater(chosen["complete"], 0))
        if len(chosen):
            self._windows.append(chosen)
        if sum(map(len, self._windows)) > 2 * MOST_ROWS:
            self._windows = [_newest(_joined(self._windows))]

    def blocks(self) -> list[OutboxBlock]:
        """What waits, to be saved; it waits until `clear`."""
        found: list[tuple[Shape, pa.Table]] = []
        if self._records:
            found.append(("records", _joined(self._records)))
        if self._windows:
            found.append(("windows", _newest(_joined(self._windows))))
        if self._values:
            found.append(("values", to_rows(list(self._values.values()))))
        at, version = self._clock(), self._policy.version
        each = (Noted(shape, version, rows).blocks(self._stream, at) for shape, rows in found)
        return list(chain.from_iterable(each))


def _chosen(rows: pa.Table, shape: Shape) -> pa.Table:
    names = set(rows.column_names)
    return rows.select([name for name in COLUMNS[shape] if name in names])


def _joined(pieces: Sequence[pa.Table]) -> pa.Table:
    if len(pieces) == 1:
        return pieces[0]
    return pa.concat_tables(pieces, promote_options="default")


def _newest(rows: pa.Table) -> pa.Table:
    """The last row of each window, in order."""
    key = np.zeros(len(rows), np.int64)
    for name in ("topic", "field", "start", "end"):
        if name in rows.column_names:
            codes, count = _codes(rows[name])
            key = key * count + codes
    _, from_end = np.unique(key[::-1], return_index=True)
    if len(from_end) == len(rows):
        return rows
    return rows.take(pa.array(np.sort(len(rows) - 1 - from_end)))


def _codes(column: pa.ChunkedArray) -> tuple[Any, int]:
    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries().combine_chunks()
        return column.indices.to_numpy().astype(np.int64), max(len(column.dictionary), 1)
    distinct, codes = np.unique(column.to_numpy(), return_inverse=True)
    return codes.astype(np.int64), len(distinct)


def to_rows(values: Sequence[LastValue]) -> pa.Table:
    """Last values as rows of a block."""
    text = [None if isinstance(v.value, float) else str(v.value) for v in values]
    columns = {
        "topic": pa.array([v.topic for v in values]),
        "field": pa.array([v.field for v in values]),
        "time": pa.array([v.time for v in values], pa.int64()),
        "partition": pa.array([v.partition for v in values], pa.uint32()),
        "offset": pa.array([v.offset for v in values], pa.int64()),
        "type": pa.array([TYPES[v.type] for v in values], pa.uint8()),
        "number": pa.array(
            [None if isinstance(v.value, str) else float(v.value) for v in values], pa.float64()
        ),
        "text": pa.array(text, pa.string()),
        "id": pa.array([v.id for v in values]),
        "around": pa.array([v.around for v in values]),
    }
    return pa.table(columns)
