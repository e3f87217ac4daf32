"""When a policy's own code fails on a message: find the message, put it aside, go on.

The task that failed may have absorbed half a batch, so it is thrown away and made anew from its
checkpoint, reading the journal again without the messages that break it.
"""

import traceback
from collections.abc import Callable

import numpy as np
import structlog
from numpy.typing import NDArray

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.chunk import Chunk, join
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.routes import Routes
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import PolicyTask
from lakebed.policies.outcomes import Outcome
from lakebed.policies.policy import Policy
from lakebed.ports import DeadLetter, Journal
from lakebed.settings import DeadLetters
from lakebed.vocabulary.times import UNSET, now

log = structlog.get_logger(__name__)

MakeLane = Callable[[Policy, int], PolicyTask]
_READ = 20_000  # messages
_TRACE = 4_000  # characters of a traceback that are kept, its end


class Poison:
    """Remembers for each task the offsets that it must not be given."""

    def __init__(
        self,
        partition: int,
        journal: Journal,
        stores: Stores,
        keep: DeadLetters,
        deduplicator: Deduplicator,
    ) -> None:
        self._partition, self._journal, self._stores = partition, journal, stores
        self._keep, self._deduplicator = keep, deduplicator
        self._offsets: dict[str, set[int]] = {}

    def isolate(
        self, task: PolicyTask, chunk: Chunk, make: MakeLane, ledger: Ledger
    ) -> tuple[PolicyTask, NDArray[np.uint8]]:
        """The task as it is after `chunk`, without what it cannot take, and the outcomes."""
        self._find(task, chunk, make, ledger)
        while True:
            mended = self._restored(task, make)
            piece = chunk
            try:
                for piece in self._before(mended, int(chunk.offset[0]), ledger):
                    self._give(mended, piece)
                piece = chunk
                return mended, self._give(mended, chunk)
            except Exception:
                self._find(task, piece, make, ledger)

    def _give(self, task: PolicyTask, chunk: Chunk) -> NDArray[np.uint8]:
        bad = np.isin(chunk.offset, list(self._offsets.get(task.part, ())))
        outcomes = np.full(len(chunk), Outcome.DEAD_LETTER, np.uint8)
        outcomes[~bad] = task.absorb(chunk.take(np.flatnonzero(~bad)))
        task.offset = max(task.offset, int(chunk.offset[-1]) + 1)
        return outcomes

    def _find(self, task: PolicyTask, chunk: Chunk, make: MakeLane, ledger: Ledger) -> None:
        """Try each message alone on a task without a past; where none fails alone, all do."""
        known = self._offsets.setdefault(task.part, set())
        guilty: list[tuple[int, str, str]] = []
        for row in range(len(chunk)):
            if int(chunk.offset[row]) in known:
                continue
            try:
                make(task.policy, 0).absorb(chunk.take(np.array([row])))
            except Exception as error:
                guilty.append((row, f"{type(error).__name__}: {error}", _traceback(error)))
        if not guilty:
            rest = [r for r in range(len(chunk)) if int(chunk.offset[r]) not in known]
            guilty = [(row, "it failed together with others", "") for row in rest]
        letters = [self._letter(task, chunk, ledger, *what) for what in guilty]
        self._stores.put_aside(letters, self._keep)
        known.update(letter.offset for letter in letters)
        log.error("messages put aside", policy=task.part, count=len(letters))

    def _letter(
        self, task: PolicyTask, chunk: Chunk, ledger: Ledger, row: int, why: str, error: str
    ) -> DeadLetter:
        time, received = int(chunk.times[row]), int(chunk.received[row])
        return DeadLetter(
            task.policy.owner,
            ledger.channels[int(chunk.channel[row])].topic,
            task.policy.name,
            self._partition,
            int(chunk.offset[row]),
            received,
            chunk.payloads[row],
            why,
            UNSET if time == received else time,
            chunk.ids[row] if chunk.ids is not None else "",
            error,
            now(),
        )

    def _restored(self, task: PolicyTask, make: MakeLane) -> PolicyTask:
        saved = {part.part: part for part in self._stores.checkpoints(self._partition)}
        checkpoint = saved[task.part]
        mended = make(task.policy, checkpoint.offset)
        mended.restore(checkpoint.state)
        mended.saved = checkpoint.offset
        return mended

    def _before(self, task: PolicyTask, end: int, ledger: Ledger) -> list[Chunk]:
        """What the task absorbed between its checkpoint and `end`."""
        routes = Routes([task])
        pieces = []
        offset = task.offset
        while offset < end:
            entries = self._journal.entries(self._partition, offset, _READ)
            if not entries:
                break
            offset = entries[-1].end
            chunk = join(entries, ledger)
            chunk = chunk.take(np.flatnonzero(self._deduplicator.counts(chunk.offset)))
            for _, index in routes.split(chunk, ledger.channels):
                kept = index[(chunk.offset[index] < end) & (chunk.offset[index] >= task.offset)]
                if len(kept):
                    pieces.append(chunk.take(kept))
        return pieces


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-_TRACE:]
