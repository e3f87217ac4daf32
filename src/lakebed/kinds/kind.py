"""What a kind of policy is to the keeper: it absorbs columns and, when asked, gives rows to write.

A kind knows its own job and nothing else. Matching, parsing, filters, retries, timing, counting
and checkpoints live once around it, in `keeper/task.py`. One instance serves one policy in one
partition; all calls come from one thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.policies.policy import Policy
from lakebed.ports import LastValue
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Values:
    """k values that passed a policy's filters, in journal order.

    Attributes:
        channel: int32[k], small ints; `Kind` gets their topics through `Site.topics`.
        time: int64[k], event time, microseconds.
        offset: int64[k], place in the partition.
        received: int64[k], receive time, microseconds.
        size: int64[k], payload bytes.
        numbers: float64[k] where the policy's type is number, else None.
        texts: k texts (JSON as text) where it is not, else None.
        ids: k ids the senders gave ("" where none), or None.
    """

    channel: Codes
    time: Ints
    offset: Ints
    received: Ints
    size: Ints
    numbers: NDArray[np.float64] | None
    texts: Sequence[str] | None
    ids: Sequence[str] | None

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Site:
    """Where an instance works: its policy, its partition, and the topics behind the small ints."""

    policy: Policy
    partition: int
    topics: Sequence[str]


@dataclass(frozen=True, slots=True)
class ErasedRange:
    """What was deleted by request: these channels, from `start` on and before `end`."""

    channels: frozenset[int]
    start: Micros
    end: Micros

    def covers(self, channel: Codes | Ints, time: Ints) -> NDArray[np.bool_]:
        """bool[k], which of k values it is about."""
        ours = np.isin(channel, np.fromiter(self.channels, np.int64, len(self.channels)))
        return ours & (time >= self.start) & (time < self.end)


@dataclass(slots=True)
class Writes:
    """What a kind wants written: rows by table, and last values."""

    rows: list[tuple[str, pa.Table]] = field(default_factory=list)
    last: list[LastValue] = field(default_factory=list)


class Kind(Protocol):
    """The life of one: [restore] (absorb | drain | snapshot [release])*."""

    @property
    def clean(self) -> bool:
        """Whether `snapshot` holds everything absorbed that is not written yet."""
        ...

    def load(self) -> tuple[int, int]:
        """Rows and bytes waiting to be written."""
        ...

    def absorb(self, values: Values) -> None: ...

    def due(self) -> Micros | None:
        """When something should be written at the latest; None while nothing waits."""
        ...

    def drain(self, now: Micros, offset: int, final: bool) -> Writes:
        """Give what is due at `now`, or with `final` all that waits, and forget that it waits.

        Args:
            now: everything received before it has been absorbed.
            offset: everything below it has been absorbed.
        """
        ...

    def rewrite(self) -> None:
        """What was written to the series is gone: all of it that is in memory waits again."""
        ...

    def snapshot(self) -> bytes: ...

    def restore(self, state: bytes) -> None: ...

    def release(self, now: Micros) -> bool:
        """Let go of state that is written and needed no more; True if there was any.

        Called only right before a snapshot that is saved before anything else is absorbed.
        """
        ...

    def erase(self, gone: ErasedRange) -> None:
        """Let go of state that would bring back what is about to be deleted.

        Called when nothing waits, right before a snapshot, like `release`.
        """
        ...

    def renumber(self, codes: Codes) -> None:
        """Channels have other small ints from here on, and some are not ours any more.

        Args:
            codes: int32[channels], the new one of each; -1: let go of its state.
        """
        ...
