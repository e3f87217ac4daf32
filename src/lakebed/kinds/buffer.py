"""Buffers values until they are written as rows, and the state of kinds that do so."""

from abc import ABC, abstractmethod
from itertools import chain

import numpy as np
import pyarrow as pa

from lakebed.kinds.kind import Effect, Rows, Site, Values
from lakebed.kinds.tables import Table
from lakebed.vocabulary.times import Micros


class RowBuffer:
    """Holds values until they are `taken`, for at most `wait` microseconds after the first."""

    def __init__(self, wait: Micros) -> None:
        self._wait = wait
        self._chunks: list[Values] = []
        self.rows = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self.rows

    def add(self, values: Values) -> None:
        if len(values):
            self._chunks.append(values)
            self.rows += len(values)
            # 64 bytes: the fixed columns of a row in memory
            self.bytes += int(values.size.sum()) + 64 * len(values)

    def due(self) -> Micros | None:
        """The first value's receive time plus the wait."""
        return int(self._chunks[0].received[0]) + self._wait if self._chunks else None

    def take(self) -> Values:
        """All values, joined; the buffer is empty afterwards."""
        chunks, self._chunks = self._chunks, []
        self.rows = self.bytes = 0
        return chunks[0] if len(chunks) == 1 else join(chunks)


class BufferedState(ABC):
    """Implements the part of `State` that kinds share which write a row for each value.

    A subclass adds `snapshot`, `restore`, `erase` and `renumber`, and makes the rows.
    """

    def __init__(self, site: Site, table: Table) -> None:
        self._site = site
        self._table = table.name
        self._buffer = RowBuffer(site.policy.buffer)

    @abstractmethod
    def _rows(self, values: Values) -> pa.Table:
        """The rows of buffered values."""

    @property
    def clean(self) -> bool:
        return not self._buffer

    def load(self) -> tuple[int, int]:
        return self._buffer.rows, self._buffer.bytes

    def absorb(self, values: Values) -> None:
        self._buffer.add(values)

    def due(self) -> Micros | None:
        return self._buffer.due()

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        if not self._buffer:
            return []
        return [Rows(self._table, self._rows(self._buffer.take()))]

    def cut(self, now: Micros) -> None:  # noqa: B027 - rows have no end
        pass

    def rewrite(self) -> None:  # noqa: B027 - nothing in memory is also in the series
        pass

    def release(self, now: Micros) -> bool:
        return False


def join(chunks: list[Values]) -> Values:
    """Concatenate chunks, of which all or none must have numbers, texts, and elements."""
    numbers = [c.numbers for c in chunks if c.numbers is not None]
    texts = [c.texts for c in chunks if c.texts is not None]
    ids = None
    if any(c.ids is not None for c in chunks):
        ids = list(chain.from_iterable(c.ids or [""] * len(c) for c in chunks))
    around = None
    if any(c.around is not None for c in chunks):
        around = list(chain.from_iterable(c.around or [""] * len(c) for c in chunks))
    elements = [c.element for c in chunks if c.element is not None]
    return Values(
        np.concatenate([c.channel for c in chunks]),
        np.concatenate([c.time for c in chunks]),
        np.concatenate([c.offset for c in chunks]),
        np.concatenate([c.received for c in chunks]),
        np.concatenate([c.size for c in chunks]),
        np.concatenate(numbers) if numbers else None,
        list(chain.from_iterable(texts)) if texts else None,
        ids,
        np.concatenate(elements) if elements else None,
        around,
    )
