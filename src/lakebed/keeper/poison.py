"""Isolates a poison message: one on which a policy's code fails. It becomes a dead letter.

The task that failed may have absorbed half of a chunk. So it is discarded and restored from its
checkpoint, and reads the journal again without the messages on which it fails.
"""

import traceback
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import structlog

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.replay import replay
from lakebed.keeper.routes import Routes
from lakebed.keeper.settings import DeadLettersSection
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import Became, PolicyTask, TaskFactory
from lakebed.policies.by_function import why_not
from lakebed.ports.catalog.dead_letters import DeadLetter
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.attributes import NO_ATTRIBUTES
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import UNSET, now

log = structlog.get_logger(__name__)

_READ = 20_000  # messages
_TRACE = 4_000  # characters kept of a traceback, from its end


class Poison:
    """The poison messages of one partition: for each task the offsets that it must not absorb."""

    def __init__(
        self,
        partition: int,
        journal: JournalReader,
        checkpoints: PartitionCheckpoints,
        stores: Stores,
        keep: DeadLettersSection,
        deduplicator: Deduplicator,
        ledger: Ledger,
        tasks: TaskFactory,
    ) -> None:
        self._partition, self._journal = partition, journal
        self._checkpoints, self._stores = checkpoints, stores
        self._keep, self._deduplicator, self._ledger = keep, deduplicator, ledger
        self._tasks = tasks
        self._offsets: dict[str, set[int]] = {}

    def isolate(self, task: PolicyTask, chunk: Chunk) -> tuple[PolicyTask, Became]:
        """Restore a task that failed on `chunk`.

        Returns the task that has absorbed the chunk without the poison, and what became of it.
        """
        self.find(task, chunk)
        while True:
            restored = self._restored(task)
            piece = chunk
            try:
                for piece in self._absorbed_before(restored, int(chunk.offset[0])):
                    self._absorb(restored, piece)
                piece = chunk
                return restored, self._absorb(restored, chunk)
            except LakebedError:
                raise
            except Exception:
                self.find(task, piece)

    def known(self, task: PolicyTask) -> list[int]:
        """The offsets that a task must not absorb."""
        return list(self._offsets.get(task.part, ()))

    def put_aside(self, task: PolicyTask, chunk: Chunk, rows: Sequence[int]) -> None:
        """Write dead letters of messages that ask for a function that their policy does not have.

        A replay writes them again, which changes nothing.
        """
        letters = [
            self._letter(task, chunk, row, why_not(task.policy, chunk.payloads[row]), "")
            for row in rows
        ]
        self._stores.add_dead_letters(letters, self._keep)

    def _absorb(self, task: PolicyTask, chunk: Chunk) -> Became:
        bad = np.isin(chunk.offset, self.known(task))
        fine = np.flatnonzero(~bad)
        became = task.absorb(chunk.take(fine)).among(fine, len(chunk))
        task.offset = max(task.offset, int(chunk.offset[-1]) + 1)
        return became

    def find(self, task: PolicyTask, chunk: Chunk) -> None:
        """Put the messages aside on which a task fails.

        Each is tried alone on a task without state; where none fails, all are poison.
        """
        known = self._offsets.setdefault(task.part, set())
        failed: list[tuple[int, str, str]] = []
        for row in range(len(chunk)):
            if int(chunk.offset[row]) in known:
                continue
            try:
                self._tasks.fresh(task.policy, 0).absorb(chunk.take(np.array([row])))
            except Exception as error:
                failed.append((row, f"{type(error).__name__}: {error}", _traceback(error)))
        if not failed:
            rest = [r for r in range(len(chunk)) if int(chunk.offset[r]) not in known]
            failed = [(row, "it failed together with others", "") for row in rest]
        letters = [self._letter(task, chunk, *found) for found in failed]
        self._stores.add_dead_letters(letters, self._keep)
        known.update(letter.offset for letter in letters)
        log.error("messages became dead letters", policy=task.part, count=len(letters))

    def _letter(self, task: PolicyTask, chunk: Chunk, row: int, why: str, error: str) -> DeadLetter:
        time, received = int(chunk.times[row]), int(chunk.received[row])
        return DeadLetter(
            task.policy.owner,
            self._ledger.channels[int(chunk.channel[row])].topic,
            task.policy.name,
            self._partition,
            int(chunk.offset[row]),
            received,
            chunk.payloads[row],
            why,
            UNSET if time == received else time,
            chunk.sparse.ids[row] if chunk.sparse.ids is not None else "",
            error,
            now(),
            NO_ATTRIBUTES if chunk.sparse.attributes is None else chunk.sparse.attributes[row],
        )

    def _restored(self, task: PolicyTask) -> PolicyTask:
        saved = {part.part: part for part in self._checkpoints.load()}
        return self._tasks.restored(task.policy, saved[task.part])

    def _absorbed_before(self, task: PolicyTask, end: int) -> Iterator[Chunk]:
        """Yield the messages that the task absorbed between its checkpoint and `end`."""
        ledger, routes = self._ledger, Routes([task])
        recall = self._deduplicator.recall
        for chunk in replay(self._read, task.offset, end, _READ, ledger, recall):
            for _, _, piece in routes.deliver(chunk, ledger.channels):
                yield piece

    def _read(self, offset: int, limit: int) -> list[Entry]:
        read = partial(self._journal.entries, self._partition, offset, limit)
        return self._stores.retry.until_available(read)


def _traceback(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-_TRACE:]
