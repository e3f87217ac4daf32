"""Rebuilds the rows of a lost series from checkpoints, the journal, and the state in a backup.

    state of tasks now ────────────> windows in memory, written again ───────────────┐
                                                                                      v
    journal ──> tasks as they were in the backup, or fresh ──> all other rows ──> Series

For each policy the messages below the offset of its task are replayed by a second task, which is
discarded afterwards. Meanwhile the keeper works on what lies behind that offset, as always.
Duplicates are left out: of what the backup and the journal have, the first message of each key
counts. A window in the memory of the keeper's task is complete there, so of that window the second
task writes only fragments that are older than the one in memory. All rows have keys made of the
data, so a rebuild that was interrupted starts again from the same checkpoints without harm.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.replay import replay
from lakebed.keeper.routes import Routes
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.state import PartitionState
from lakebed.keeper.task import PolicyTask, TaskFactory
from lakebed.keeper.versions import PolicyVersions, is_version_of
from lakebed.kinds import KINDS
from lakebed.kinds.columns import stamped
from lakebed.kinds.kind import Rows
from lakebed.kinds.tables import CUT
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.policies import PolicyVersionReader
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.series import SeriesWriter
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock

log = structlog.get_logger(__name__)

RECORDS = {
    table.name
    for kind in KINDS.values()
    if kind.answers == "records"
    for table in kind.tables.values()
}
"""Tables whose rows are single records: written once more they replace themselves."""
Checkpoints = Mapping[int, Sequence[Checkpoint]]


@dataclass(slots=True)
class Rebuilt:
    """The result of a rebuild.

    Attributes:
        rows: written.
        missing: messages that the ledger has counted and that are neither in the backup nor in
            the journal; what policies had kept of them is gone.
        since, until: receive times between which the missing ones lie, where there are any.
        failed: poison messages, which were passed over.
    """

    rows: int = 0
    missing: int = 0
    since: Micros | None = None
    until: Micros | None = None
    failed: int = 0


class _PoisonFound(Exception):
    """A task has absorbed half of a chunk: its state is invalid."""


@dataclass(slots=True)
class _Work:
    """One policy whose rows are rebuilt in one partition."""

    task: PolicyTask
    tasks: TaskFactory
    poison: set[int]  # offsets that it must not be given
    until: int  # where the keeper's own task stands
    created: Micros
    whole: bool  # whether it knows of every message before its first
    memory: pa.Table | None = None  # rows of the windows that the keeper's task still has
    fragments: dict[tuple[str, int], int] = field(default_factory=dict)


class Rebuild:
    """One run.

    Args:
        checkpoints: those of the keeper, as they stood before it was started.
        base: those of the backup whose rows are in the series already; empty without one.
        tables: those that may be written, by name; what the others hold is there, and rows of
            windows and rings must not be written twice.
        step: called now and then with messages read and messages in all; may raise to end it.
    """

    def __init__(
        self,
        journal: JournalReader,
        series: SeriesWriter,
        catalog: PolicyVersionReader,
        settings: KeeperSettings,
        checkpoints: Checkpoints,
        base: Checkpoints,
        tables: Collection[str],
        step: Callable[[int, int], None],
    ) -> None:
        self._journal, self._series = journal, series
        self._settings, self._step = settings, step
        self._versions = PolicyVersions(catalog, settings.keeper.timezone)
        self._checkpoints, self._base, self._tables = checkpoints, base, tables
        self._read = self._total = 0
        self._poison: dict[tuple[int, str], set[int]] = {}  # by partition and part
        self.report = Rebuilt()

    def run(self) -> Rebuilt:
        extent = self._journal.extent()
        ends = {p: max(part.offset for part in parts) for p, parts in self._checkpoints.items()}
        self._total = sum(max(0, end - extent[p][0]) for p, end in ends.items() if p in extent)
        for partition, parts in self._checkpoints.items():
            if partition in extent:
                self._partition(partition, parts, extent[partition][0])
        return self.report

    def _partition(self, partition: int, parts: Sequence[Checkpoint], first: int) -> None:
        """Rebuild a partition; start again without the poison messages that were found."""
        rows, read = self.report.rows, self._read
        while not self._try_partition(partition, parts, first):
            self.report.rows, self._read = rows, read

    def _try_partition(self, partition: int, parts: Sequence[Checkpoint], first: int) -> bool:
        """Return whether the partition is done; False if a poison message was found."""
        horizon = self._settings.journal.id_horizon
        now, base = (
            PartitionState.decode(found, horizon)
            for found in (parts, self._base.get(partition, ()))
        )
        works = [
            work
            for part in now.tasks.values()
            if (work := self._work(partition, part, now, base, first)) is not None
        ]
        for work in works:
            if work.memory is not None:
                self._insert(_table_of(work), work.memory)
        try:
            here = self._read_again(partition, works, base, first, now.counted)
        except _PoisonFound:
            return False
        self._note_missing(partition, now, base, first, here)
        return True

    # --- what to do ------------------------------------------------------------------------------

    def _work(
        self, partition: int, part: Checkpoint, now: PartitionState, base: PartitionState,
        first: int,
    ) -> _Work | None:  # fmt: skip
        stored = self._versions.stored(part.part)
        policy = None if stored is None else self._versions.read(stored)
        if stored is None or policy is None or not KINDS[policy.keep].tables:
            return None
        if KINDS[policy.keep].tables[policy.type].name not in self._tables:
            return None
        before = self._task_in_backup(policy, base)
        start = first if before is None else max(first, before.offset)
        whole = first == 0 if before is None else first <= before.offset
        tasks = self._tasks(partition, base.ledger)
        task = tasks.fresh(policy, start)
        if before is not None:
            task.restore(before.state)
        poison = self._poison.setdefault((partition, part.part), set())
        work = _Work(task, tasks, poison, part.offset, stored.created, whole)
        if KINDS[policy.keep].answers == "windows":
            _note_open_windows(work, self._tasks(partition, now.ledger).restored(policy, part))
        return work

    def _tasks(self, partition: int, ledger: Ledger) -> TaskFactory:
        return TaskFactory(partition, ledger.topics, self._settings.limits.future)

    def _task_in_backup(self, policy: Policy, base: PartitionState) -> Checkpoint | None:
        """The policy's task in the backup, if it was of the same kind and type."""
        for part in base.tasks.values():
            if not is_version_of(part.part, policy):
                continue
            was = self._versions.find(part.part)
            if was is not None and (was.keep, was.type) == (policy.keep, policy.type):
                return part
        return None

    def _note_missing(
        self, partition: int, now: PartitionState, base: PartitionState, first: int, here: int
    ) -> None:
        """Report messages that were counted since the backup, but are not in the journal any more.

        Args:
            here: the number that the journal still has.
        """
        # what is parked is not among the messages read again, and its released copies are
        counted, before = (
            state.ledger.messages - state.ledger.totals.get(Outcome.OVER_QUOTA, 0)
            for state in (now, base)
        )
        missing = counted - before - here
        if missing <= 0:
            return
        self.report.missing += missing
        seen = now.ledger.first_seen
        since = _newest(base.ledger) if before else int(seen.min()) if len(seen) else None
        left = self._journal.entries(partition, first, 1)
        until = int(left[0].batch.received[0]) if left else _newest(now.ledger)
        self.report.since = _least(self.report.since, since)
        self.report.until = until or self.report.until

    # --- reading again ---------------------------------------------------------------------------

    def _read_again(
        self, partition: int, works: Sequence[_Work], base: PartitionState, first: int, end: int
    ) -> int:
        """Let the tasks absorb what lies below `end`.

        Returns how many messages the journal still has behind the backup.
        """
        by_task = {id(work.task): work for work in works}
        routes = Routes([work.task for work in works])
        since = max(first, base.counted)
        offset = min((work.task.offset for work in works), default=since)
        here, oldest = 0, None
        read, limit = partial(self._journal.entries, partition), self._settings.keeper.read
        for chunk in replay(read, offset, end, limit, base.ledger, base.deduplicator.judge):
            here += int(np.count_nonzero(chunk.offset >= since))
            for task, _, piece in routes.deliver(chunk, base.ledger.channels):
                self._absorb(by_task[id(task)], piece)
            if oldest is None and len(chunk):
                oldest = int(chunk.received[0])
            for work in works:
                work.task.offset = max(work.task.offset, min(chunk.end, work.until))
                if len(chunk):
                    self._write(work, int(chunk.received[-1]), oldest, final=False)
            self._read += chunk.end - offset
            self._step(min(self._read, self._total), self._total)
            offset = chunk.end
        for work in works:
            self._write(work, 0, oldest, final=True)
        return here

    def _absorb(self, work: _Work, chunk: Chunk) -> None:
        wanted = (chunk.offset < work.until) & (chunk.received >= work.created)
        wanted &= ~np.isin(chunk.offset, list(work.poison))
        index = np.flatnonzero(wanted)
        if not len(index):
            return
        try:
            work.task.absorb(chunk.take(index))
        except LakebedError:
            raise
        except Exception as error:  # the keeper made a dead letter of it when it came
            found = _find_poison(work, chunk.take(index))
            log.exception("messages passed over", policy=work.task.part, count=len(found))
            work.poison |= found
            self.report.failed += len(found)
            raise _PoisonFound from error

    def _write(self, work: _Work, now: Micros, oldest: Micros | None, final: bool) -> None:
        task = work.task
        rows, size = task.load()
        limit = self._settings.keeper
        full = rows >= limit.buffer_rows or size >= limit.buffer_bytes
        due = task.due()
        if not (final or full or (due is not None and due <= now)):
            return
        for effect in task.drain(now, final=final or full):
            assert isinstance(effect, Rows)  # as all kinds with tables give
            made = effect.rows
            chosen = _not_in_memory(made, work) if work.fragments else made
            if (
                KINDS[task.policy.keep].answers == "windows"
                and not work.whole
                and oldest is not None
            ):
                chosen = _without_complete(chosen, oldest)
            self._insert(effect.table, chosen)
        task.release(now)

    def _insert(self, table: str, rows: pa.Table) -> None:
        if len(rows):
            self._series.write(table, stamped(rows, wall_clock()))
            self.report.rows += len(rows)


def _find_poison(work: _Work, chunk: Chunk) -> set[int]:
    """Try each message alone on a task without state; where none fails, all are poison."""
    found = set()
    for row in range(len(chunk)):
        try:
            work.tasks.fresh(work.task.policy, 0).absorb(chunk.take(np.array([row])))
        except Exception:
            found.add(int(chunk.offset[row]))
    return found or set(chunk.offset.tolist())


def _note_open_windows(work: _Work, kept: PolicyTask) -> None:
    """Note the windows in the memory of the keeper's task, as rows."""
    kept.rewrite()
    for effect in kept.drain(0, final=True):
        assert isinstance(effect, Rows)
        work.memory = rows = effect.rows
        work.fragments = dict(zip(_series(rows), rows["fragment"].to_pylist(), strict=True))


def _series(rows: pa.Table) -> Iterator[tuple[Any, ...]]:
    """Topic, start and, where there are fields, field of each window."""
    names = [name for name in ("topic", "start", "field") if name in rows.column_names]
    return zip(*(rows[name].to_pylist() for name in names), strict=True)


def _not_in_memory(rows: pa.Table, work: _Work) -> pa.Table:
    newest = [work.fragments.get(key) for key in _series(rows)]
    stays = [
        limit is None or fragment < limit
        for limit, fragment in zip(newest, rows["fragment"].to_pylist(), strict=True)
    ]
    return rows.filter(pa.array(stays, pa.bool_()))


def _without_complete(rows: pa.Table, oldest: Micros) -> pa.Table:
    """Mark windows as incomplete if messages of them may be missing."""
    begun = pc.less(rows["start"].cast(pa.int64()), -(-oldest // 1_000_000))
    cut = pc.bit_wise_and(rows["complete"], pa.scalar(CUT, pa.uint8()))
    complete = pc.if_else(begun, cut, rows["complete"])
    return rows.set_column(rows.column_names.index("complete"), "complete", complete)


def _table_of(work: _Work) -> str:
    policy = work.task.policy
    return KINDS[policy.keep].tables[policy.type].name


def _newest(ledger: Ledger) -> Micros | None:
    seen = ledger.last_seen
    return int(seen.max()) if len(seen) else None


def _least(one: Micros | None, other: Micros | None) -> Micros | None:
    given = [value for value in (one, other) if value is not None]
    return min(given, default=None)
