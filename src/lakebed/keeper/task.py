"""A task: one policy at work in one partition, with its own offset in the journal.

    Chunk ──> Pipeline (parse, time, filter, transform) ──> State.absorb ──> buffer
                    │                                              │
                outcomes                             drain ──> effects ──> stores
                                                     snapshot ──> Checkpoint

Routes give it nothing below its offset, so the journal may be read again from anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.versions import part_of
from lakebed.kinds import KINDS
from lakebed.kinds.kind import Effect, ErasedRange, Site, Values
from lakebed.policies.pipeline import Pipeline
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Codes
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros


class PolicyTask:
    """Attributes:
    policy: what this task works for.
    offset: everything below it is absorbed.
    saved: the offset of its newest checkpoint.
    changed: whether it absorbed anything since.
    """

    def __init__(self, site: Site, offset: int, future: Micros) -> None:
        self.policy: Policy = site.policy
        self.offset = self.saved = offset
        self.changed = True
        self._topics = site.topics
        self._pipeline = Pipeline(site.policy, future)
        self._state = KINDS[site.policy.keep].open(site)

    @property
    def part(self) -> str:
        """The name of its checkpoint."""
        return part_of(self.policy)

    @property
    def clean(self) -> bool:
        return self._state.clean

    @property
    def pace(self) -> Micros:
        """The least time between two of its writes."""
        buffered = "buffer" in KINDS[self.policy.keep].keys
        return self.policy.buffer if buffered else self.policy.every or 0

    def load(self) -> tuple[int, int]:
        return self._state.load()

    def absorb(self, chunk: Chunk) -> NDArray[np.uint8]:
        """Work through messages at or behind `offset`; returns uint8[n], the outcome of each."""
        run = self._pipeline.run(
            chunk.channel, chunk.payloads, chunk.times, chunk.received, chunk.columns
        )
        self.changed = True
        if len(run.kept):
            # mostly all of it, which then is not copied: nobody writes into these columns
            kept = slice(None) if len(run.kept) == len(chunk) else run.kept
            ids = chunk.sparse.ids
            if ids is not None and not isinstance(kept, slice):
                ids = [ids[row] for row in kept.tolist()]
            self._state.absorb(
                Values(
                    chunk.channel[kept], run.times, chunk.offset[kept],
                    chunk.received[kept], chunk.size[kept], run.numbers, run.texts, ids,
                )
            )  # fmt: skip
        return run.outcomes

    def due(self) -> Micros | None:
        return self._state.due()

    def drain(self, now: Micros, final: bool = False) -> list[Effect]:
        return self._state.drain(now, self.offset, final)

    def cut(self, now: Micros) -> None:
        """Close the open windows: no other task continues them."""
        self._state.cut(now)

    def rewrite(self) -> None:
        """Mark everything in memory to be written again, because the written rows are lost."""
        self._state.rewrite()

    def release(self, now: Micros) -> None:
        if self._state.release(now):
            self.changed = True

    def erase(self, gone: ErasedRange) -> None:
        self._pipeline.erase(gone.channels, gone.start, gone.end)
        self._state.erase(gone)
        self.changed = True

    def renumber(self, codes: Codes, windows: Codes) -> None:
        """Change the numbers of channels; -1 for those of other partitions.

        Args:
            windows: the same, for windows that are open.
        """
        tables = KINDS[self.policy.keep].tables.values()
        has_windows = any("fragment" in table.key for table in tables)
        self._pipeline.renumber(codes)
        self._state.renumber(windows if has_windows else codes)
        self.changed = True

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.part, self.offset, self.state())

    def state(self) -> bytes:
        return msgspec.msgpack.encode((self._pipeline.snapshot(), self._state.snapshot()))

    def restore(self, state: bytes) -> None:
        """Go on where a task of the same kind and type stopped."""
        pipeline, kind = msgspec.msgpack.decode(state)
        self._pipeline.restore(pipeline)
        self._state.restore(kind)


@dataclass(frozen=True, slots=True)
class TaskFactory:
    """Makes the tasks of one partition.

    Attributes:
        topics: of the partition's channels, by their small ints; it may grow.
        future: how far ahead of its arrival an event time may lie, microseconds.
    """

    partition: int
    topics: Sequence[str]
    future: Micros

    def fresh(self, policy: Policy, offset: int, since: Micros = 0) -> PolicyTask:
        """A task without a past. For `since` see `Site`."""
        site = Site(policy, self.partition, self.topics, since)
        return PolicyTask(site, offset, self.future)

    def restored(self, policy: Policy, checkpoint: Checkpoint) -> PolicyTask:
        """The task as it was saved."""
        task = self.fresh(policy, checkpoint.offset)
        task.restore(checkpoint.state)
        return task
