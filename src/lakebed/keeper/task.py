"""A task: one policy at work in one partition, with its own offset in the journal.

    Chunk ──> Pipeline (parse, time, filter, transform) ──> State.absorb ──> buffer
                    │                                              │
                outcomes                             drain ──> effects ──> stores
                                                     snapshot ──> Checkpoint

Routes give it nothing below its offset, so the journal may be read again from anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.versions import part_of
from lakebed.kinds import KINDS
from lakebed.kinds.kind import Effect, ErasedRange, Site, Values
from lakebed.outbox.outgoing import Outgoing
from lakebed.policies.around import Chosen
from lakebed.policies.outcomes import Outcome
from lakebed.policies.pipeline import Pipeline, Result
from lakebed.policies.values import Origin
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros


class Became(NamedTuple):
    """What became of n messages under a policy.

    Attributes:
        outcomes: uint8[n].
        by_field: uint8[n, fields], of each field of them; None if the policy has no fields.
    """

    outcomes: NDArray[np.uint8]
    by_field: NDArray[np.uint8] | None = None

    def among(self, rows: NDArray[np.intp], n: int) -> "Became":
        """The same of n messages, of which those at other places than `rows` are dead letters."""
        outcomes = np.full(n, Outcome.DEAD_LETTER, np.uint8)
        outcomes[rows] = self.outcomes
        if self.by_field is None:
            return Became(outcomes)
        by_field = np.full((n, self.by_field.shape[1]), Outcome.DEAD_LETTER, np.uint8)
        by_field[rows] = self.by_field
        return Became(outcomes, by_field)


class PolicyTask:
    """Attributes:
    policy: what this task works for.
    offset: everything below it is absorbed.
    saved: the offset of its newest checkpoint.
    changed: whether it absorbed anything since.
    outgoing: notes what it gives, where relays follow its policy; else None.
    """

    def __init__(self, site: Site, offset: int, future: Micros) -> None:
        self.policy: Policy = site.policy
        self.offset = self.saved = offset
        self.changed = True
        self.outgoing: Outgoing | None = None
        self._topics = site.topics
        self._fields = len(site.policy.field_names)
        self._pipeline = Pipeline(site.policy, future)
        self._chosen = Chosen(site.policy.around) if site.policy.around else None
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

    def absorb(self, chunk: Chunk) -> Became:
        """Work through messages at or behind `offset`."""
        run = self._pipeline.run(
            chunk.channel, chunk.payloads, chunk.times, chunk.received, chunk.columns
        )
        self.changed = True
        if run.origin is not None:
            self._state.absorb(self._several(chunk, run, run.origin))
            return Became(run.outcomes, run.by_field if self.policy.fields else None)
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
                    around=self._around(chunk, run.kept),
                )
            )  # fmt: skip
        return Became(run.outcomes)

    def _several(self, chunk: Chunk, run: Result, origin: Origin) -> Values:
        """The values of messages that have several. Each has an equal share of the size."""
        kept, ids = run.kept, chunk.sparse.ids
        shares = np.bincount(kept, minlength=len(chunk))[kept]
        return Values(
            (chunk.channel[kept] * self._fields + origin.field).astype(np.int32),
            run.times,
            chunk.offset[kept],
            chunk.received[kept],
            -(-chunk.size[kept] // shares),
            run.numbers,
            run.texts,
            None if ids is None else [ids[row] for row in kept.tolist()],
            None if self.policy.split is None else origin.element,
            self._around(chunk, kept),
        )

    def _around(self, chunk: Chunk, kept: NDArray[np.intp]) -> list[str] | None:
        """What surrounded the messages at `kept`, where the policy keeps that."""
        attributes = chunk.sparse.attributes
        if self._chosen is None or attributes is None:
            return None
        return self._chosen.texts(attributes, kept.tolist())

    def due(self) -> Micros | None:
        return self._state.due()

    def drain(self, now: Micros, final: bool = False) -> list[Effect]:
        effects = self._state.drain(now, self.offset, final)
        if self.outgoing is not None:
            self.outgoing.note(effects)
        return effects

    def cut(self, now: Micros) -> None:
        """Close the open windows: no other task continues them."""
        self._state.cut(now)

    def follow(self, former: "PolicyTask") -> bool:
        """Learn from a task of the same policy that has absorbed all up to this one's first offset.

        Returns whether there was anything to learn, which then is to be saved.
        """
        if self.policy.field_names != former.policy.field_names:
            return False
        learned = KINDS[self.policy.keep].link(former._state, self._state)
        self.changed |= learned
        return learned

    def worth(self, effects: Sequence[Effect]) -> list[Effect]:
        """What is worth writing of what came before this task's first message."""
        return KINDS[self.policy.keep].worth(self._state, effects)

    def rewrite(self) -> None:
        """Mark everything in memory to be written again, because the written rows are lost."""
        self._state.rewrite()

    def release(self, now: Micros) -> None:
        if self._state.release(now):
            self.changed = True

    def erase(self, gone: ErasedRange) -> None:
        fields = range(self._fields)
        series = frozenset(c * self._fields + f for c in gone.channels for f in fields)
        gone = replace(gone, channels=series)
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
        same = np.arange(self._fields)
        codes, windows = (_series(each, same, self._fields) for each in (codes, windows))
        self._pipeline.renumber(codes)
        self._state.renumber(windows if has_windows else codes)
        self.changed = True

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.part, self.offset, self.state())

    def state(self) -> bytes:
        return msgspec.msgpack.encode((self._pipeline.snapshot(), self._state.snapshot()))

    def restore(self, state: bytes, fields: Sequence[str] | None = None) -> None:
        """Go on where a task of the same kind and type stopped.

        Args:
            fields: its `Policy.field_names`; None if they are the same. The series of those that
                this task does not have are left out.
        """
        pipeline, kind = msgspec.msgpack.decode(state)
        self._pipeline.restore(pipeline)
        self._state.restore(kind)
        own = self.policy.field_names
        if fields is not None and tuple(fields) != own:
            channels = np.arange(len(self._topics), dtype=np.int32)
            places = np.array([own.index(name) if name in own else -1 for name in fields])
            codes = _series(channels, places, self._fields)
            self._pipeline.renumber(codes)
            self._state.renumber(codes)


def _series(codes: Codes, places: Ints, fields: int) -> Codes:
    """The new number of each series, or -1.

    Args:
        codes: int32[channels], the new number of each channel, or -1.
        places: int[former fields], the new place of each field, or -1.
        fields: how many there are then.
    """
    new = codes[:, None].astype(np.int64) * fields + places
    new[(codes < 0)[:, None] | (places < 0)] = -1
    return new.ravel().astype(np.int32)


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

    def without(self, task: PolicyTask, policy: Policy) -> PolicyTask | None:
        """The task with the series alone of fields that a policy does not have; None without any.

        Args:
            task: nothing waits to be written.
        """
        gone = set(task.policy.field_names) - set(policy.field_names)
        if not gone:
            return None
        fields = tuple(field for field in task.policy.fields if field[0] in gone)
        left = self.fresh(replace(task.policy, fields=fields), task.offset)
        left.restore(task.state(), task.policy.field_names)
        return left

    def restored(self, policy: Policy, checkpoint: Checkpoint) -> PolicyTask:
        """The task as it was saved."""
        task = self.fresh(policy, checkpoint.offset)
        task.restore(checkpoint.state)
        return task
