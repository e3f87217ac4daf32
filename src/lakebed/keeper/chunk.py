"""A chunk of one partition, made of the entries that one poll brought, as one set of columns.

Small entries (a busy endpoint commits every millisecond) would each pay the fixed cost of every
policy; joined they pay it once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.ledger import Ledger
from lakebed.policies.picked import Reading
from lakebed.policies.values import Column
from lakebed.vocabulary.messages import Codes, Entry, Ints
from lakebed.vocabulary.sparse import Sparse, SparseBuilder


@dataclass(frozen=True, slots=True)
class Chunk:
    """n messages of one partition in journal order.

    Attributes:
        offset: int64[n], ascending.
        channel: int32[n], the ledger's small ints.
        payloads: n payloads.
        times: int64[n], event time where the sender gave one, else receive time.
        received: int64[n].
        size: int64[n], payload bytes; of a duplicate those that it was sent with.
        sparse: what only some messages have.
        end: the offset just behind.
        columns: parsed `payloads`, shared by policies that parse them in the same way.
    """

    offset: Ints
    channel: Codes
    payloads: Sequence[bytes]
    times: Ints
    received: Ints
    size: Ints
    sparse: Sparse
    end: int
    columns: dict[Reading, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.payloads)

    def take(self, index: NDArray[np.intp]) -> "Chunk":
        """The messages at `index` (ascending)."""
        if len(index) == len(self):
            return self
        return Chunk(
            self.offset[index],
            self.channel[index],
            [self.payloads[row] for row in index.tolist()],
            self.times[index],
            self.received[index],
            self.size[index],
            self.sparse.take(index),
            self.end,
        )

    def before(self, end: int) -> "Chunk":
        """The messages below the offset `end`."""
        if self.end <= end:
            return self
        return replace(self.take(np.flatnonzero(self.offset < end)), end=end)


def join(entries: Sequence[Entry], ledger: Ledger) -> Chunk:
    """Join entries of one partition, in order, into a chunk; new channels get numbers."""
    batches = [entry.batch for entry in entries]
    payloads = (
        batches[0].payloads
        if len(batches) == 1
        else list(chain.from_iterable(batch.payloads for batch in batches))
    )
    sparse = SparseBuilder()
    for start, batch in zip(accumulate(map(len, batches), initial=0), batches, strict=False):
        sparse.add(start, batch.sparse)
    columns = sparse.build(len(payloads))
    size = np.fromiter(map(len, payloads), np.int64, len(payloads))
    if columns.duplicate is not None:
        size = np.maximum(size, columns.duplicate)
    return Chunk(
        np.concatenate([entry.offsets for entry in entries]),
        np.concatenate([ledger.identify(b.channels)[b.channel] for b in batches]),
        payloads,
        np.concatenate([batch.times for batch in batches]),
        np.concatenate([batch.received for batch in batches]),
        size,
        columns,
        entries[-1].end,
    )
