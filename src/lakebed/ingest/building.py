"""Builds a batch out of the columns of many reads."""

from collections.abc import Sequence
from itertools import repeat

import numpy as np

from lakebed.vocabulary.attributes import numbered
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import NOTHING, Sparse, SparseBuilder
from lakebed.vocabulary.times import Micros


class BatchBuilder:
    """Collects messages as columns, for one batch."""

    __slots__ = ("_channels", "_counts", "_moments", "_sparse", "payloads", "size")

    def __init__(self) -> None:
        self._channels: list[Channel] = []
        self.payloads: list[bytes] = []
        self._moments: list[Micros] = []
        self._counts: list[int] = []
        self._sparse = SparseBuilder()
        self.size = 0

    def __len__(self) -> int:
        return len(self.payloads)

    def extend(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        sparse: Sparse = NOTHING,
    ) -> None:
        """Append k messages that were read together at `received`; columns are parallel."""
        self._sparse.add(len(self.payloads), sparse)
        self._channels.extend(channels)
        self.payloads.extend(payloads)
        self._moments.append(received)
        self._counts.append(len(payloads))
        self.size += sum(map(len, payloads))

    def extend_each(
        self, channels: Sequence[Channel], payloads: Sequence[bytes], received: Sequence[Micros]
    ) -> None:
        """Messages that have nothing but a payload, each read at its own moment."""
        self._channels.extend(channels)
        self.payloads.extend(payloads)
        self._moments.extend(received)
        self._counts.extend(repeat(1, len(payloads)))
        self.size += sum(map(len, payloads))

    def build(self) -> Batch:
        """The batch so far. The builder must not be used afterwards."""
        n = len(self.payloads)
        codes, channels = numbered(self._channels)
        return Batch(
            channels,
            codes,
            self.payloads,
            np.repeat(np.array(self._moments, np.int64), np.array(self._counts, np.intp)),
            self._sparse.build(n),
        )
