"""From offers to a batch: messages are gathered as columns, one by one or many at a time."""

from collections.abc import Sequence
from itertools import repeat
from typing import TypeVar

import numpy as np

from lakebed.vocabulary.messages import Batch, Channel, Ints
from lakebed.vocabulary.times import UNSET, Micros

T = TypeVar("T")


class BatchBuilder:
    """Gathers messages into columns until somebody takes the batch."""

    __slots__ = (
        "_channels", "_counts", "_event", "_ids", "_keys", "_moments", "_only", "payloads", "size",
    )  # fmt: skip

    def __init__(self) -> None:
        self._channels: list[Channel] = []
        self.payloads: list[bytes] = []
        self._moments: list[Micros] = []
        self._counts: list[int] = []
        self._event: list[tuple[int, Sequence[Micros]]] = []
        self._ids: list[tuple[int, Sequence[str]]] = []
        self._keys: list[tuple[int, Sequence[bytes]]] = []
        self._only: list[tuple[int, Sequence[str]]] = []
        self.size = 0

    def __len__(self) -> int:
        return len(self.payloads)

    def extend(
        self,
        channels: Sequence[Channel],
        payloads: Sequence[bytes],
        received: Micros,
        event: Sequence[Micros] | None = None,
        ids: Sequence[str] | None = None,
        keys: Sequence[bytes] | None = None,
        only: Sequence[str] | None = None,
    ) -> None:
        """Append k messages that were read together at `received`; columns are parallel.

        Sparse columns (event, ids, keys, only) may be None where none of the k messages has one.
        """
        start = len(self.payloads)
        self._channels.extend(channels)
        self.payloads.extend(payloads)
        self._moments.append(received)
        self._counts.append(len(payloads))
        self.size += sum(map(len, payloads))
        if event is not None:
            self._event.append((start, event))
        if ids is not None:
            self._ids.append((start, ids))
        if keys is not None:
            self._keys.append((start, keys))
        if only is not None:
            self._only.append((start, only))

    def append(self, channel: Channel, payload: bytes, received: Micros) -> None:
        """One message, as `extend`."""
        self._channels.append(channel)
        self.payloads.append(payload)
        self._moments.append(received)
        self._counts.append(1)
        self.size += len(payload)

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
        index = dict.fromkeys(self._channels, 0)
        if len(index) == n:  # as where many devices send one message each
            codes = np.arange(n, dtype=np.int32)
        else:
            index = dict(zip(index, range(n), strict=False))
            codes = np.fromiter(map(index.__getitem__, self._channels), np.int32, n)
        event: Ints = np.full(n, UNSET, np.int64)
        for start, times in self._event:
            event[start : start + len(times)] = times
        return Batch(
            tuple(index),
            codes,
            self.payloads,
            np.repeat(np.array(self._moments, np.int64), np.array(self._counts, np.intp)),
            event,
            spread(n, self._ids, "") if self._ids else None,
            spread(n, self._keys, b"") if self._keys else None,
            spread(n, self._only, "") if self._only else None,
        )


def spread(n: int, pieces: Sequence[tuple[int, Sequence[T]]], empty: T) -> list[T]:
    """A column of n values, `empty` but for the pieces, each with the place where it begins."""
    column = [empty] * n
    for start, values in pieces:
        column[start : start + len(values)] = values
    return column
