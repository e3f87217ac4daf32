"""The vocabulary: what flows through Lakebed, as columns.

    sources ──Batch──> journal ──Entry──> consumers (keeper, relays, taps)

The unit between the parts is a `Batch` of parallel columns, never a list of message objects: a
message alone costs microseconds in Python, in a batch a fraction of one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.sparse import NOTHING, Sparse
from lakebed.vocabulary.sparse import Ints as Ints
from lakebed.vocabulary.times import UNSET

ID_KEY = b"i\0"
"""What keys of ids begin with. They end with the horizon alone; other keys are forgotten on
purpose, so that only those have to be found again (`Journal.known`)."""

Codes = NDArray[np.int32]


class Channel(NamedTuple):
    """Where a message belongs: the topic, within its owner's own name space."""

    owner: str
    topic: str


@dataclass(frozen=True, slots=True)
class Batch:
    """n messages as parallel columns, in the order in which they arrived.

    Attributes:
        channels: the distinct channels of this batch, in order of first appearance.
        channel: int32[n], for each message its index in `channels`.
        payloads: n payloads, as sent.
        received: int64[n], when Lakebed read the message, microseconds UTC.
        sparse: what only some messages have.
    """

    channels: tuple[Channel, ...]
    channel: Codes
    payloads: Sequence[bytes]
    received: Ints
    sparse: Sparse = NOTHING

    def __len__(self) -> int:
        return len(self.payloads)

    @property
    def times(self) -> Ints:
        """int64[n], the event time where given, else the receive time."""
        event = self.sparse.event
        if event is None:
            return self.received
        return np.where(np.equal(event, UNSET), self.received, event)

    def take(self, index: NDArray[np.intp]) -> "Batch":
        """The messages at `index`, in that order; `channels` stays as it is."""
        return Batch(
            self.channels,
            self.channel[index],
            [self.payloads[i] for i in index.tolist()],
            self.received[index],
            self.sparse.take(index),
        )

    def behind(self, start: int) -> "Batch":
        """The messages from number `start` on; `channels` stays as it is."""
        return Batch(
            self.channels,
            self.channel[start:],
            self.payloads[start:],
            self.received[start:],
            self.sparse.cut(start, len(self)),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A stretch of the journal: a batch with its place.

    The position of message i is (`partition`, `offset` + i). Within a partition offsets grow with
    every message; they may have gaps between entries, never within one. So the distance of two
    offsets is no number of messages. An entry may be empty: it tells that there is nothing more
    up to its end, or only what to release.

    Attributes:
        gap: offsets behind the last message that no message will ever have.
        release: keys that stop counting behind this entry, where readers look for duplicates.
    """

    partition: int
    offset: int
    batch: Batch
    gap: int = 0
    release: Sequence[bytes] = ()

    @property
    def end(self) -> int:
        """Where to read on: the least offset that a message behind this entry can have."""
        return self.offset + len(self.batch) + self.gap

    @property
    def offsets(self) -> Ints:
        """int64[n], the offset of each message."""
        return np.arange(self.offset, self.offset + len(self.batch), dtype=np.int64)
