"""A set of keys in 24 bytes a key: sorted segments that merge as they grow.

    add ──> [small] [small] ── as large as the one before it? ──> merged      [full] … [full]

A key is stored as a BLAKE2b digest of 128 bits, so that two keys are never taken for one. A segment
does not change: a checkpoint saves those that are new and drops those that were merged into others,
instead of saving everything each time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import Micros

_FULL = 2**18  # keys; a segment is at most a checkpoint part of 6 MiB

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Attributes:
    high, low: uint64[n], the halves of the digests, ascending by `high`.
    at: int64[n], when each key was noted.
    """

    high: Words
    low: Words
    at: Ints

    def __len__(self) -> int:
        return len(self.at)

    def holds(self, high: Words, low: Words, oldest: Ints) -> NDArray[np.bool_]:
        """bool[k], for each of k digests whether it was noted at its `oldest` or later.

        Where two noted digests agree in their high halves (one in 2**64) the second is not seen.
        """
        index = np.searchsorted(self.high, high)
        index[index == len(self)] = 0
        same = (self.high[index] == high) & (self.low[index] == low)
        found: NDArray[np.bool_] = same & (self.at[index] >= oldest)
        return found

    def to_bytes(self) -> bytes:
        return b"".join(column.tobytes() for column in (self.high, self.low, self.at))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Segment":
        high, low, at = np.frombuffer(data, np.uint64).reshape(3, -1)
        return cls(high, low, at.view(np.int64))


def digests(keys: Sequence[bytes]) -> tuple[Words, Words]:
    """uint64[n] twice: the halves of the digests of n keys."""
    joined = b"".join([blake2b(key, digest_size=16).digest() for key in keys])
    halves = np.frombuffer(joined, np.uint64).reshape(-1, 2)
    return halves[:, 0], halves[:, 1]


class SeenKeys:
    """Keys with the time when they were noted."""

    def __init__(self) -> None:
        self._segments: dict[int, Segment] = {}  # by number, in the order of their keys
        self._number = 0
        self._saved: set[int] = set()

    def __len__(self) -> int:
        return sum(map(len, self._segments.values()))

    def known(self, high: Words, low: Words, oldest: Ints) -> NDArray[np.bool_]:
        """bool[n], which of n digests were noted at their `oldest` time or later."""
        known = np.zeros(len(high), np.bool_)
        for segment in self._segments.values():
            known |= segment.holds(high, low, oldest)
        return known

    def add(self, high: Words, low: Words, at: Ints) -> None:
        """Note n different digests."""
        if not len(high):
            return
        fresh = _sorted(high, low, at)
        for number, segment in reversed(list(self._segments.items())):
            if len(segment) > 2 * len(fresh) or len(segment) + len(fresh) > _FULL:
                break
            fresh = _merged(segment, fresh)
            del self._segments[number]
        self._number += 1
        self._segments[self._number] = fresh

    def expire(self, oldest: Micros) -> None:
        """Evict segments with nothing noted at `oldest` or later."""
        for number, segment in list(self._segments.items()):
            if int(segment.at.max()) < oldest:
                del self._segments[number]

    # --- checkpoints ------------------------------------------------------------------------------

    def unsaved(self) -> Iterator[tuple[int, bytes]]:
        """Segments to write, by number."""
        for number, segment in self._segments.items():
            if number not in self._saved:
                yield number, segment.to_bytes()

    def gone(self) -> set[int]:
        """Numbers of segments that were written and are not needed any more."""
        return self._saved - self._segments.keys()

    def saved(self) -> None:
        """Note that `unsaved` segments are written, and those in `gone` deleted."""
        self._saved = set(self._segments)

    def restore(self, segments: Mapping[int, bytes]) -> None:
        self._segments = {n: Segment.from_bytes(segments[n]) for n in sorted(segments)}
        self._number = max(segments, default=0)
        self._saved = set(segments)


def _sorted(high: Words, low: Words, at: Ints) -> Segment:
    order = np.argsort(high)
    return Segment(high[order], low[order], at[order])


def _merged(one: Segment, other: Segment) -> Segment:
    """A key in both comes first with its later time, so that the first one found is the newest."""
    high, low, at = (
        np.concatenate([getattr(one, name), getattr(other, name)]) for name in ("high", "low", "at")
    )
    order = np.lexsort((-at, high))
    return Segment(high[order], low[order], at[order])
