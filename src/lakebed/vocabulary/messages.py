"""Messages, as batches of columns: the unit between all parts of Lakebed.

    sources ──Batch──> journal ──Entry──> consumers (keeper, relays, taps)

A `Batch` has parallel columns instead of message objects, because a message alone costs
microseconds in Python, and in a batch a fraction of one.
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
"""Prefix of keys that are made of ids. These keys expire with the horizon. Other keys are released
explicitly, so only those are looked up again (`Journal.known`)."""

Codes = NDArray[np.int32]


class Channel(NamedTuple):
    """A topic within its owner's name space."""

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
        sparse: columns in which only some messages have a value.
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
        """int64[n], the event time of each message, or its receive time if it gave none."""
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
    """A batch read from the journal, with its partition and offset.

    Message i has the offset `offset` + i. Offsets grow with every message of a partition, and may
    have gaps between entries, but not within one. So the difference of two offsets is not a number
    of messages. An entry without messages says that none follow up to its end, or has only keys to
    release.

    Attributes:
        gap: offsets behind the last message that no message will ever have.
        release: keys that may be used again by messages behind this entry; for journals whose
            consumers find duplicates.
    """

    partition: int
    offset: int
    batch: Batch
    gap: int = 0
    release: Sequence[bytes] = ()

    @property
    def end(self) -> int:
        """The lowest offset that a later message can have, from which to continue reading."""
        return self.offset + len(self.batch) + self.gap

    @property
    def offsets(self) -> Ints:
        """int64[n], the offset of each message."""
        return np.arange(self.offset, self.offset + len(self.batch), dtype=np.int64)
