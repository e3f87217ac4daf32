"""A preview: what a policy would have kept of the messages that the journal still has.

    offset of the range's begin ──replay──> the policy's task ──effects──> PreviewRows
                                                 └─outcomes──> counts, Examples

The policy begins with the range, as if it had been written then. Nothing is written, and no
consumer moves.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.examples import Example, Examples, newest_of_each
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.preview_rows import PreviewRows
from lakebed.keeper.replay import replay
from lakebed.keeper.routes import Routes
from lakebed.keeper.task import TaskFactory
from lakebed.policies.outcomes import CODES, UNFILTERED, Outcome
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import DAY, Micros, to_rfc3339

if TYPE_CHECKING:
    import pyarrow as pa  # a gateway starts without it

log = structlog.get_logger(__name__)

_READ = 50_000  # messages at a time
LIMIT = 5_000_000
"""Messages of a partition looked at; beyond, the preview says that it stopped."""

PATIENCE = 20.0
"""Seconds that a preview takes; after them it says that it stopped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a preview looks at.

    Attributes:
        since: messages received then or later; None for all that the journal holds.
        points: parts that the plot of a topic has; 0 for no plot.
        limit: messages of a partition after which it stops.
        patience: seconds after which it stops.
    """

    since: Micros | None = None
    points: int = 0
    limit: int = LIMIT
    patience: float = PATIENCE


@dataclass(slots=True)
class Preview:
    """Attributes:
    matched: messages on the policy's topics.
    outcomes: int64[CODES] of them.
    rows: what would be in the stores.
    examples: of messages that would not have been kept.
    since, until: receive times of the first and last message looked at, or None.
    held: receive time of the oldest message that the journal holds, or None.
    complete: False where the journal holds more of the range than was looked at: more messages
        than the limit, or some from before its partitions grew.
    """

    policy: Policy
    rows: PreviewRows
    matched: int = 0
    outcomes: Ints = field(default_factory=lambda: np.zeros(CODES, np.int64))
    examples: list[Example] = field(default_factory=list)
    since: Micros | None = None
    until: Micros | None = None
    held: Micros | None = None
    complete: bool = True

    @property
    def points(self) -> "pa.Table | None":
        """Points of a plot, in the columns of `ports.question.Page`."""
        return self.rows.points()

    def to_dict(self) -> dict[str, Any]:
        """The figures as the API answers."""
        found = [Outcome(code) for code in np.flatnonzero(self.outcomes).tolist()]
        return {
            "matched": self.matched,
            "kept": int(self.outcomes[Outcome.KEPT]),
            "late": int(self.outcomes[Outcome.LATE]),
            "filtered": {o.reason: int(self.outcomes[o]) for o in found if o not in UNFILTERED},
            "dead_letter": int(self.outcomes[Outcome.DEAD_LETTER]),
            "rows": self.rows.count,
            "bytes": self.rows.size,
            "topics": len({topic for topic, _ in self.rows.series}),
            "from": _text(self.since),
            "to": _text(self.until),
            "held_from": _text(self.held),
            "complete": self.complete,
            "newest": self.rows.newest(),
        }


def _text(moment: Micros | None) -> str | None:
    return None if moment is None else to_rfc3339(moment)


def preview(
    policy: Policy,
    journal: JournalReader,
    future: Micros,
    bounds: Bounds | None = None,
    *,
    horizon: Micros = DAY,
    monotonic: Callable[[], float] = time.monotonic,
) -> Preview:
    """Read the journal from where the range begins.

    Args:
        future: how far ahead of its arrival an event time may lie, microseconds.
        horizon: how long a key is remembered, microseconds.
    """
    bounds = bounds or Bounds()
    result = Preview(policy, PreviewRows(policy, bounds.points))
    extent, examples, until = journal.extent(), [], monotonic() + bounds.patience
    whole = False  # whether the range reaches back to where a partition begins
    for number, (partition, (first, end)) in enumerate(extent.items()):
        now = monotonic()
        deadline = now + (until - now) / (len(extent) - number)
        result.held = _least(result.held, _received(journal, partition, first))
        start = first
        if bounds.since is not None:
            start = offset_at(journal, partition, first, end, bounds.since)
        whole |= start == first
        one = _Partition(policy, partition, start, future)
        chunks = replay(
            partial(journal.entries, partition),
            start, end, _READ, one.ledger, Deduplicator(horizon).judge,
        )  # fmt: skip
        one.absorb(chunks, result, bounds.limit, partial(_is_over, monotonic, deadline))
        result.complete &= one.task.offset >= end
        examples.append(one.examples.of(policy.owner))
    result.complete &= not (whole and journal.holds_older())
    result.examples = newest_of_each(ring for rings in examples for ring in rings)
    return result


def _is_over(monotonic: Callable[[], float], deadline: float) -> bool:
    return monotonic() > deadline


def offset_at(journal: JournalReader, partition: int, first: int, end: int, moment: Micros) -> int:
    """The first offset whose message was received at a moment or later, by halving."""
    low, high = first, end
    while low < high:
        middle = (low + high) // 2
        found = journal.entries(partition, middle, 1)
        received = next((one.batch.received for one in found if len(one.batch)), None)
        if received is None or int(received[0]) >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def held_since(journal: JournalReader) -> Micros | None:
    """When the oldest message was received that the journal holds; None where it holds none."""
    held: Micros | None = None
    for partition, (first, _) in journal.extent().items():
        held = _least(held, _received(journal, partition, first))
    return held


def _received(journal: JournalReader, partition: int, offset: int) -> Micros | None:
    """When the message at or behind an offset was received; None behind the last."""
    for entry in journal.entries(partition, offset, 1):
        if len(entry.batch):
            return int(entry.batch.received[0])
    return None


def _least(one: Micros | None, other: Micros | None) -> Micros | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


class _Partition:
    """The policy at work in one partition."""

    def __init__(self, policy: Policy, partition: int, start: int, future: Micros) -> None:
        self.ledger = Ledger()
        self._tasks = TaskFactory(partition, self.ledger.topics, future)
        self._partition = partition
        self.task = self._tasks.fresh(policy, start)
        # counts instead of a clock: a reason is never too young to be looked at
        self.examples = Examples(partition, partial(next, count()))

    def absorb(
        self, chunks: Iterator[Chunk], result: Preview, limit: int, late: Callable[[], bool]
    ) -> None:
        """Absorb chunks until there are no more, or it has seen or taken too much."""
        policy, seen = self.task.policy, 0
        for chunk in chunks:
            for _, _, piece in Routes([self.task]).deliver(chunk, self.ledger.channels):
                outcomes = self._outcomes(piece)
                result.matched += len(piece)
                result.outcomes += np.bincount(outcomes, minlength=CODES)
                rows = np.arange(len(piece))
                owner = (policy.owner, policy.name)
                self.examples.note(owner, outcomes, piece, rows, self.ledger.channels)
            self.task.offset = chunk.end
            if len(chunk):
                seen += len(chunk)
                newest = int(chunk.received[-1])
                result.since = _least(result.since, int(chunk.received[0]))
                result.until = max(result.until or newest, newest)
                result.rows.add(self.task.drain(newest, final=True), self._partition)
            if seen >= limit or result.rows.full or late():
                break

    def _outcomes(self, piece: Chunk) -> NDArray[np.uint8]:
        """What becomes of messages; those on which the policy fails are dead letters."""
        before = self.task.checkpoint()
        try:
            return self.task.absorb(piece).outcomes
        except LakebedError:
            raise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            log.error("a policy that is previewed failed", policy=self.task.part, error=why)
        policy, outcomes = self.task.policy, np.full(len(piece), Outcome.DEAD_LETTER, np.uint8)
        fine = [row for row in range(len(piece)) if not self._fails(piece.take(np.array([row])))]
        self.task = self._tasks.restored(policy, before)
        try:
            outcomes[fine] = self.task.absorb(piece.take(np.array(fine, np.intp))).outcomes
        except LakebedError:
            raise
        except Exception:  # together they fail again
            outcomes[:] = Outcome.DEAD_LETTER
            self.task = self._tasks.restored(policy, before)
        return outcomes

    def _fails(self, message: Chunk) -> bool:
        try:
            self._tasks.fresh(self.task.policy, 0).absorb(message)
        except Exception:
            return True
        return False
