"""Values waiting to be written as rows, chunk by chunk as they came."""

from itertools import chain

import numpy as np

from lakebed.kinds.kind import Values
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


def join(chunks: list[Values]) -> Values:
    """One after the other. Numbers or texts must be there in all chunks or in none."""
    numbers = [c.numbers for c in chunks if c.numbers is not None]
    texts = [c.texts for c in chunks if c.texts is not None]
    ids = None
    if any(c.ids is not None for c in chunks):
        ids = list(chain.from_iterable(c.ids or [""] * len(c) for c in chunks))
    return Values(
        np.concatenate([c.channel for c in chunks]),
        np.concatenate([c.time for c in chunks]),
        np.concatenate([c.offset for c in chunks]),
        np.concatenate([c.received for c in chunks]),
        np.concatenate([c.size for c in chunks]),
        np.concatenate(numbers) if numbers else None,
        list(chain.from_iterable(texts)) if texts else None,
        ids,
    )
