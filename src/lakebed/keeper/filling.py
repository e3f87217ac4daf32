"""Fills policies in one partition: keeps of the journal's past what they would have kept.

    journal ──from the past──> the fill's own task ──effects──> stores
                                     │                              saved with the shard's
                                     └── state, offset, counts ──> checkpoint, in one transaction

A fill reads what its policy has not seen, up to where the policy began (`fill_spans.py`), by a task
of its own. Its rows have keys made of offsets that the keeper's task has never had: they are
fragments of windows, rings and records like any others, and readers put them together. It is part
of the shard: whoever has the partition fills, a slice at a time, and each slice ends with a
checkpoint, so a replay writes the same rows again and counts nothing twice.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper.chunk import Chunk
from lakebed.keeper.erasure_requests import erased_range
from lakebed.keeper.fill_meter import meter_filled
from lakebed.keeper.fill_spans import Spans, span_key
from lakebed.keeper.fill_state import (
    SPANS,
    Deleted,
    FillState,
    Past,
    State,
    Tail,
    decode,
    decode_past,
)
from lakebed.keeper.ledger import Ledger
from lakebed.keeper.poison import Poison
from lakebed.keeper.preview import offset_at
from lakebed.keeper.replay import to_chunk
from lakebed.keeper.routes import Routes
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.stores import Stores
from lakebed.keeper.task import Became, PolicyTask, TaskFactory
from lakebed.keeper.versions import PolicyVersions, continues
from lakebed.kinds.kind import Effect, LastValues, Rows
from lakebed.policies.outcomes import Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.fills import FillOrder
from lakebed.ports.catalog.ledger import LedgerSegment
from lakebed.ports.erasure import Erasure
from lakebed.ports.journal.reading import JournalReader
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.topics import is_wildcard, matches

log = structlog.get_logger(__name__)

_SLICE = 20_000
"""Messages read at a time: live messages wait that long, a few tenths of a second."""

_DELETED = 1000
"""Requests to delete that are remembered; beyond, fills begin behind the oldest."""


UNREADABLE = "this version of the policy cannot be read"
CHANGED = "the policy has another kind, type or windows now: fill it again"


class Filling:
    """The fills of one partition. Used by the keeper's thread.

    Args:
        at_work: the keeper's own task of a policy.

    Attributes:
        spans: what each policy has worked through.
        read: messages read since the process has the partition.
    """

    def __init__(
        self,
        partition: int,
        journal: JournalReader,
        stores: Stores,
        settings: KeeperSettings,
        versions: PolicyVersions,
        ledger: Ledger,
        deduplicator: Deduplicator,
        tasks: TaskFactory,
        poison: Poison,
        at_work: Callable[[Policy], PolicyTask | None],
    ) -> None:
        self._partition, self._journal, self._stores = partition, journal, stores
        self._settings, self._versions = settings, versions
        self._ledger, self._deduplicator = ledger, deduplicator
        self._factory, self._poison, self._at_work = tasks, poison, at_work
        self.spans = Spans()
        self._past = Past()
        self._past_changed = True
        self._fills: dict[str, FillState] = {}
        self._tasks: dict[str, PolicyTask] = {}
        self._tails: dict[str, list[PolicyTask]] = {}
        self._changed: set[str] = set()
        self._segments: list[LedgerSegment] = []
        self._complete: list[PolicyTask] = []
        self.read = 0

    # --- what there is ----------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._changed)

    @property
    def running(self) -> list[str]:
        return [name for name, fill in self._fills.items() if fill.state == "running"]

    def state(self, order: FillOrder) -> State | None:
        """How far an order is here; None where it has not begun."""
        fill = self._fills.get(f"{order.owner}/{order.policy}")
        return None if fill is None or fill.request != order.request else fill.state

    def begin(self, order: FillOrder, now: Micros) -> None:
        """Begin an order of a policy that is at work."""
        fill = self._new(order)
        policy = self._find(order.owner, order.policy, order.version)
        if policy is None:
            self._end(fill, "failed", now, UNREADABLE)
            return
        fill.gaps = self._gaps(policy, order.since)
        distance = partial(self._journal.distance, self._partition)
        fill.messages = sum(distance(*gap) for gap in fill.gaps)
        if fill.gaps:
            fill.next = fill.gaps[0][0]
        else:
            self._end(fill, "done", now)

    def _new(self, order: FillOrder) -> FillState:
        fill = FillState(order.owner, order.policy, order.request, order.version, 0, [], 0)
        former = self._fills.get(fill.name)
        if former is not None:
            fill.tails = former.tails
        self._fills[fill.name] = fill
        self._changed.add(fill.name)
        return fill

    def cancel(self, order: FillOrder, now: Micros, why: str = "") -> None:
        """End an order, begun or not: what it has kept stays."""
        fill = self._fills.get(f"{order.owner}/{order.policy}")
        if fill is None or fill.request != order.request:
            fill = self._new(order)
        if fill.state == "running":
            self._break_off(fill, "cancelled", now, why)

    def _gaps(self, policy: Policy, since: Micros) -> list[tuple[int, int]]:
        first = max(self._first, self._past.known_from, self._deduplicator.known_from)
        live = self.spans.live(policy)
        if live is None or live <= first:
            return []
        start = self._stores.retry.until_available(
            partial(offset_at, self._journal, self._partition, first, live, since)
        )
        return self.spans.gaps(policy, start)

    def _find(self, owner: str, name: str, version: int) -> Policy | None:
        return self._stores.retry.until_available(
            partial(self._versions.find, f"{owner}/{name}@{version}")
        )

    # --- a slice ----------------------------------------------------------------------------------

    def fill(self, name: str, now: Micros) -> None:
        """Fill a policy with the next messages; saved before anything else happens."""
        fill = self._fills[name]
        if fill.state != "running":
            return
        if self._task(fill) is None:
            self._end(fill, "failed", now, UNREADABLE)
            return
        self._changed.add(name)
        begin, end = fill.next, fill.gaps[0][1]
        if (kept := min(self._first, end)) > begin:
            self._pass_over(fill, kept)
        stops = [gone.offset for gone in self._deleted_of(fill) if gone.offset > fill.next]
        stop = min([end, *stops])
        if fill.next < stop:
            begin = fill.next
            self._read(fill, stop)
        if fill.next < stop:
            return
        task = self._tasks[name]
        self._write(fill, task, task.drain(now, final=True), begin)
        for gone in self._deleted_of(fill):
            if gone.offset == stop:
                task.erase(erased_range(_erasure(gone), self._ledger))
        if stop == end:
            live = self.spans.live(task.policy)
            if live is not None and live < end:
                self._complete.append(task)
            self._leave(fill, task)
            fill.gaps = fill.gaps[1:]
            if fill.gaps:
                fill.next = fill.gaps[0][0]
            else:
                self._end(fill, "done", now)

    @property
    def _first(self) -> int:
        """The first offset that the journal has."""
        return self._journal.extent().get(self._partition, (0, 0))[0]

    def _task(self, fill: FillState) -> PolicyTask | None:
        """The task of a fill, taken up where it was saved; None if its policy cannot be read."""
        known = self._tasks.get(fill.name)
        if known is not None:
            return known
        policy = self._find(fill.owner, fill.policy, fill.version)
        if policy is None:
            return None
        return self._restored(fill, policy)

    def _restored(self, fill: FillState, policy: Policy) -> PolicyTask:
        task = self._tasks[fill.name] = self._factory.fresh(policy, fill.next)
        if fill.task:
            task.restore(fill.task)
        return task

    def _pass_over(self, fill: FillState, first: int) -> None:
        """Pass over what the journal has no more, as where a store has deleted it by itself."""
        fill.lost += self._journal.distance(self._partition, fill.next, first)
        fill.error = "the journal lost messages before they were read"
        fill.next = self._tasks[fill.name].offset = first

    def _read(self, fill: FillState, stop: int) -> None:
        begin = fill.next
        limit = min(_SLICE, self._settings.keeper.read)
        read = partial(self._journal.entries, self._partition, begin, limit)
        entries: Sequence[Entry] = self._stores.retry.until_available(read)
        if entries:
            chunk = to_chunk(entries, self._ledger, self._deduplicator.recall).before(stop)
            fill.next = min(entries[-1].end, stop)
            if len(chunk):
                self._absorb_all(fill, chunk, begin)
        else:  # what was to be filled ends in a gap
            fill.next = stop
        task = self._tasks[fill.name]
        task.offset = fill.next
        self.spans.add(task.policy, begin, fill.next)

    def _absorb_all(self, fill: FillState, chunk: Chunk, begin: int) -> None:
        received = int(chunk.received[-1])
        fill.since = int(chunk.received[0]) if fill.since is None else fill.since
        fill.read += len(chunk)
        self.read += len(chunk)
        routes = Routes([self._tasks[fill.name]])
        for _, _, piece in routes.deliver(chunk, self._ledger.channels):
            became = self._absorb(fill, piece)
            self._count(fill, piece, became, begin)
        task, limit = self._tasks[fill.name], self._settings.keeper
        rows, size = task.load()
        full = rows >= limit.buffer_rows or size >= limit.buffer_bytes
        task.offset = fill.next
        self._write(fill, task, task.drain(received, final=full or not task.clean), begin)
        task.release(received)

    def _absorb(self, fill: FillState, chunk: Chunk) -> Became:
        """Absorb the only piece of a slice; messages on which the policy fails are put aside."""
        task = self._tasks[fill.name]
        while True:
            fine = np.flatnonzero(~np.isin(chunk.offset, self._poison.known(task)))
            try:
                return task.absorb(chunk.take(fine)).among(fine, len(chunk))
            except LakebedError:
                raise
            except Exception:
                log.exception("a policy's code failed in a fill", policy=task.part)
            self._poison.find(task, chunk)
            task = self._restored(fill, task.policy)

    def _count(self, fill: FillState, piece: Chunk, became: Became, begin: int) -> None:
        """Count messages under their policy; the account of messages stays as it is."""
        policy = self._tasks[fill.name].policy
        kept = became.outcomes == Outcome.KEPT
        fill.matched += len(piece)
        fill.kept += int(np.count_nonzero(kept))
        fill.size += int(piece.size[kept].sum())
        key = (policy.owner, policy.name)
        self._ledger.count_policy(key, became.outcomes)
        if became.by_field is not None:
            self._ledger.count_fields(key, policy.field_names, became.by_field)
        self._segments += meter_filled(
            self._partition, fill.request, begin, policy.name, piece, became.outcomes,
            self._ledger.channels, self._settings.ledger.rows,
        )  # fmt: skip

    def _write(
        self, fill: FillState, task: PolicyTask, effects: Iterable[Effect], begin: int
    ) -> None:
        """Write what comes of messages at or behind `begin`, without what was deleted."""
        gone = [one for one in self._deleted_of(fill) if one.offset > begin]
        chosen = [_without(effect, gone) for effect in effects]
        if (own := self._at_work(task.policy)) is not None:
            chosen = own.worth(chosen)
        fill.rows += sum(
            len(effect.rows if isinstance(effect, Rows) else effect.values) for effect in chosen
        )
        self._stores.write([chosen])

    # --- its end ----------------------------------------------------------------------------------

    def _break_off(self, fill: FillState, state: State, now: Micros, error: str = "") -> None:
        """End a fill that is running: what it has kept stays."""
        task = self._task(fill)
        if task is not None:
            self._write(fill, task, task.drain(now, final=True), task.offset - 1)
            self._leave(fill, task)
        self._end(fill, state, now, error)

    def _leave(self, fill: FillState, task: PolicyTask) -> None:
        """Keep a task whose windows go on, to write them when they end."""
        if task.due() is not None:
            self._tails_of(fill).append(task)
        self._tasks.pop(fill.name, None)
        fill.task = b""

    def _end(self, fill: FillState, state: State, now: Micros, error: str = "") -> None:
        fill.state, fill.finished, fill.gaps = state, now, []
        fill.error = error or fill.error
        self._tasks.pop(fill.name, None)
        self._changed.add(fill.name)
        log.info("fill ended", policy=fill.name, state=state, read=fill.read, error=fill.error)

    def _tails_of(self, fill: FillState) -> list[PolicyTask]:
        known = self._tails.get(fill.name)
        if known is None:
            known = self._tails[fill.name] = []
            for tail in fill.tails:
                policy = self._find(fill.owner, fill.policy, tail.version)
                if policy is not None:
                    saved = Checkpoint(fill.name, tail.offset, tail.task)
                    known.append(self._factory.restored(policy, saved))
        return known

    def write_ended(self, now: Micros) -> None:
        """Write windows that have ended since their fill."""
        for name, fill in self._fills.items():
            due = [task for task in self._tails_of(fill) if _is_due(task, now)]
            for task in due:
                self._write(fill, task, task.drain(now), task.offset - 1)
            if due:
                self._tails[name] = [task for task in self._tails[name] if task.due() is not None]
                self._changed.add(name)

    def follow(self, old: Policy, new: Policy | None, offset: int, now: Micros) -> None:
        """Follow a change of policies: from `offset` on the new one is at work, or none."""
        if new is None or span_key(new) != span_key(old):
            self.spans.end(old, offset)
        fill = self._fills.get(f"{old.owner}/{old.name}")
        if fill is None or continues(new, old):
            return
        if fill.state == "running":
            why = "the policy was deleted" if new is None else CHANGED
            self._break_off(fill, "cancelled", now, why)
        self._cut_tails(fill, now)

    def cut_tails(self, now: Micros) -> None:
        """End all windows that go on, because nobody will be there to write them when they end."""
        for fill in self._fills.values():
            self._cut_tails(fill, now)

    def _cut_tails(self, fill: FillState, now: Micros) -> None:
        for task in self._tails_of(fill):
            task.cut(now)
            self._write(fill, task, task.drain(now, final=True), task.offset - 1)
            self._changed.add(fill.name)
        self._tails[fill.name] = []

    # --- what is deleted by request ---------------------------------------------------------------

    def erase(self, wanted: Erasure, offset: int, now: Micros) -> None:
        """Erase the state of fills of what is to be deleted, and write none of it again.

        Args:
            offset: everything below it is concerned.
        """
        gone = Deleted(
            offset, wanted.owner, wanted.topic, wanted.policy or "", wanted.start, wanted.end
        )
        if wanted.policy is None:
            self._remember(gone)
        everything = wanted.topic == "#" and wanted.start is None and wanted.end is None
        for fill in self._fills.values():
            if fill.owner == wanted.owner and wanted.policy in (None, fill.policy):
                self._erase(fill, gone, now)
                if fill.state == "running" and wanted.policy is not None and everything:
                    self._end(fill, "cancelled", now, "what the policy kept was deleted")
        if wanted.policy is not None and everything:
            self.spans.clear(wanted.owner, wanted.policy, offset)

    def _erase(self, fill: FillState, gone: Deleted, now: Micros) -> None:
        tasks = list(self._tails_of(fill))
        if fill.state == "running":
            if gone.policy:
                fill.deleted = [*fill.deleted, gone]
            task = self._task(fill)
            tasks += [] if task is None else [task]
        for task in tasks:
            self._write(fill, task, task.drain(now, final=True), task.offset - 1)
            task.erase(erased_range(_erasure(gone), self._ledger))
        self._changed.add(fill.name)

    def _remember(self, gone: Deleted) -> None:
        known = [one for one in self._past.deleted if one.offset > self._first] + [gone]
        known.sort(key=lambda one: one.offset)
        if len(known) > _DELETED:
            self._past.known_from = max(self._past.known_from, known[-_DELETED - 1].offset)
        self._past.deleted = known[-_DELETED:]
        self._past_changed = True

    def _deleted_of(self, fill: FillState) -> list[Deleted]:
        """What was deleted of the topics of its owner, or of its policy while it was filled."""
        return [one for one in self._past.deleted if one.owner == fill.owner] + fill.deleted

    # --- checkpoints ------------------------------------------------------------------------------

    def restore(
        self, parts: Sequence[Checkpoint], counted: int, policies: Sequence[Policy]
    ) -> None:
        """Go on as it was saved.

        Args:
            counted: the offset of the shard's checkpoint.
            policies: those at work.
        """
        self._past = decode_past(parts)
        if not any(part.part == SPANS for part in parts):
            self._past.known_from = counted  # an earlier version did not note what was deleted
            for policy in policies:
                self.spans.begin(policy, 0)  # nor where they began
        else:
            self.spans, self._past_changed = Spans(self._past.spans), False
        for part in parts:
            if part.part != SPANS:
                fill = decode(part)
                self._fills[fill.name] = fill

    def take_changed(self, counted: int) -> list[Checkpoint]:
        """The parts that are others than those saved before."""
        self.spans.trim(self._first)
        parts = []
        if self.spans.changed or self._past_changed:
            self._past.spans = self.spans.to_dict()
            parts.append(Checkpoint(SPANS, counted, msgspec.msgpack.encode(self._past)))
            self.spans.changed = self._past_changed = False
        for name in sorted(self._changed):
            parts.append(self._encode(self._fills[name]))
        self._changed.clear()
        return parts

    def _encode(self, fill: FillState) -> Checkpoint:
        task = self._tasks.get(fill.name)
        if task is not None:
            fill.task = task.state()
        elif fill.state != "running":
            fill.task = b""
        if fill.name in self._tails:
            fill.tails = [
                Tail(task.policy.version, task.offset, task.state())
                for task in self._tails[fill.name]
            ]
        return fill.to_checkpoint()

    def take_complete(self) -> list[PolicyTask]:
        """Tasks of fills that have come up to where their policies began."""
        complete, self._complete = self._complete, []
        return complete

    def take_segments(self) -> list[LedgerSegment]:
        """Of the byte ledger, to be written in the transaction of the parts."""
        return self._segments

    def saved(self) -> None:
        self._segments = []


def _is_due(task: PolicyTask, now: Micros) -> bool:
    due = task.due()
    return due is not None and due <= now


def _erasure(gone: Deleted) -> Erasure:
    return Erasure(gone.owner, gone.topic, gone.policy or None, gone.start, gone.end)


def _without(effect: Effect, gone: Sequence[Deleted]) -> Effect:
    """An effect without the rows or values that were deleted."""
    if not gone:
        return effect
    if isinstance(effect, LastValues):
        return LastValues([v for v in effect.values if not _covers(gone, v.topic, v.time)])
    rows = effect.rows
    name, unit = ("time", 1) if "time" in rows.column_names else ("start", SECOND)
    times = rows[name].cast(pa.int64()).to_pylist()
    topics = rows["topic"].to_pylist()
    stays = [
        not _covers(gone, topic, time * unit) for topic, time in zip(topics, times, strict=True)
    ]
    return replace(effect, rows=rows.filter(pa.array(stays, pa.bool_())))


def _covers(gone: Sequence[Deleted], topic: str, time: Micros) -> bool:
    return any(
        _erasure(one).covers(time)
        and (matches(one.topic, topic) if is_wildcard(one.topic) else one.topic == topic)
        for one in gone
    )
