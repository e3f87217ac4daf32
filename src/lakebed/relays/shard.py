"""The worker of the consumer `relays` for one partition: what can be read, and who is where.

    entries ──absorb──> PartitionLog (duplicates, recent entries), Backlog (bytes by offset)
                             │ wakes
    relays ──adopt──> Relaying of each ──state──┐
                                                └──checkpoint──> catalog, one transaction
    the lowest position of all that hold ──commit──> the journal may trim below

A relay of which more than `hold` waits is stopped, and holds nothing any more: so a dead target
costs disk up to there, and neither ingest nor other relays notice.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import structlog

from lakebed.consuming import deduplication
from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.deduplication import Deduplicator
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.relays import CONSUMER, StoredRelay
from lakebed.ports.journal.operating import JournalOperations
from lakebed.ports.journal.reading import JournalReader
from lakebed.relays import targets
from lakebed.relays.backlog import Backlog
from lakebed.relays.documents import Spec, spec_of
from lakebed.relays.messages import MessageSource, PartitionLog
from lakebed.relays.policy_source import PolicySource
from lakebed.relays.relaying import Relaying
from lakebed.relays.source import Source
from lakebed.relays.state import Gap, RelayState, decode, encode
from lakebed.vocabulary.errors import Superseded
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.times import now as wall_clock

log = structlog.get_logger(__name__)

_HEAD = "head"
_SAVE_EVERY = 1.0  # seconds between two checkpoints
_SAVE_RATE_EVERY: Micros = 10 * SECOND
_FULL = 0.8  # part of the journal's limit from which on relays that lie behind are stopped
_TRIMS = 10.0  # seconds in which the journal is trimmed, once what held it is stopped
_SMALL = 2**20  # bytes that a relay may hold in any case
_SETTLE = 1.0  # seconds that a final checkpoint waits for deliveries at work


class ShardJournal(JournalReader, JournalOperations, Protocol):
    """What a shard needs of the journal."""


class Opening(Protocol):
    """How relays of a partition are put to work; see `service.py`."""

    def begin(self, partition: int, spec: Spec, state: RelayState, source: Source) -> Relaying: ...

    def of_policy(self, partition: int, spec: Spec) -> PolicySource: ...

    def is_stale(self, partition: int, spec: Spec) -> bool:
        """Whether a secret has changed since the relay's targets were opened with it."""
        ...


@dataclass(slots=True)
class _Held:
    """A relay in this partition.

    Attributes:
        relaying: None while it is paused or stopped, or ends.
        ending: one whose deliveries at work are waited for; then it goes on with its state.
    """

    relay: StoredRelay
    spec: Spec
    state: RelayState
    source: Source
    relaying: Relaying | None = None
    ending: Relaying | None = None


class RelayShard:
    """Implements `consuming.worker.PartitionWorker`.

    Args:
        end: of the journal in this partition when it was assigned.
        relays: all relays as they are now.
    """

    def __init__(
        self,
        partition: int,
        end: int,
        journal: ShardJournal,
        checkpoints: PartitionCheckpoints,
        opening: Opening,
        relays: Callable[[], Sequence[StoredRelay]],
        horizon: Micros,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._partition, self._end, self._journal = partition, end, journal
        self._checkpoints, self._opening, self._relays = checkpoints, opening, relays
        self._monotonic, self._clock = monotonic, clock
        self._deduplicator = Deduplicator(horizon)
        self._log = PartitionLog(partition, journal, self._deduplicator)
        self._backlog = Backlog()
        self._held: dict[str, _Held] = {}
        self._saved: dict[str, Checkpoint] = {}
        self._dropped: list[str] = []
        self._saved_at = self._made_room = float("-inf")
        self._saved_head = -1
        self._floor = 0
        self.superseded = False

    # --- PartitionWorker --------------------------------------------------------------------------

    @property
    def offset(self) -> int:
        return self._log.end

    def load(self) -> int:
        parts = {part.part: part for part in self._checkpoints.load()}
        head = parts.pop(_HEAD, None)
        keys = {name: part for name, part in parts.items() if deduplication.is_part(name)}
        self._saved = {name: part for name, part in parts.items() if name not in keys}
        relays = self._relays()
        begins = [
            self._begin(relay) for relay in relays if not relay.document["from"].get("policy")
        ]
        offset = self._end if head is None else head.offset
        if head is not None:
            self._backlog.restore(head.state)
        elif begins:
            offset = min(offset, *begins)
        self._deduplicator.restore(keys, offset)
        self._log.end = offset
        self._floor = offset
        self.adopt(relays)
        return offset

    def absorb(self, entries: Sequence[Entry]) -> None:
        fresh = [entry for entry in entries if entry.end > self._log.end]
        if not fresh:
            return
        self._log.absorb(fresh)
        self._backlog.note(fresh)
        for held in self._held.values():
            if held.relaying is not None and not held.spec.policy:
                held.relaying.wake()

    def due(self) -> Micros | None:
        return None

    def flush(self, now: Micros, final: bool = False) -> None:
        """What relays deliver is theirs to write."""

    def checkpoint(self, now: Micros, final: bool = False) -> int:
        if final:
            self._settle()
        moment = self._monotonic()
        if final or moment - self._saved_at >= _SAVE_EVERY:
            self._save()
            self._saved_at = moment
        return self._floor

    # --- relays -----------------------------------------------------------------------------------

    def adopt(self, relays: Sequence[StoredRelay]) -> None:
        """Begin with new relays, go on with changed ones, drop those that are gone."""
        wanted = {relay.id: relay for relay in relays}
        for id in self._held.keys() - wanted.keys():
            self._end_with(self._held.pop(id))
            self._dropped.append(id)
        self._dropped += [id for id in self._saved if id not in wanted and id not in self._dropped]
        for id, relay in wanted.items():
            held = self._held.get(id)
            if held is None:
                self._held[id] = self._restored(relay)
            elif held.relay.version != relay.version:
                self._end_with(held)
                held.relay, held.spec = relay, spec_of(relay)
            elif held.relaying is not None and self._opening.is_stale(self._partition, held.spec):
                self._end_with(held)
        for held in self._held.values():
            self._turn(held)

    def close(self) -> None:
        """Send nothing more."""
        for held in self._held.values():
            self._end_with(held)

    @property
    def stopped(self) -> list[str]:
        """The identities of relays that are stopped. Any thread."""
        return [id for id, held in list(self._held.items()) if held.state.stopped]

    def gapped(self, since: Micros) -> list[str]:
        """The identities of relays with gaps that were noticed since. Any thread."""
        return [
            id
            for id, held in list(self._held.items())
            if any(gap.end > gap.start and gap.since >= since for gap in held.state.gaps)
        ]

    def poll_policies(self) -> None:
        """Look for what policies gave since."""
        for held in self._held.values():
            if held.relaying is not None and held.spec.policy:
                held.relaying.wake()

    def _restored(self, relay: StoredRelay) -> _Held:
        spec = spec_of(relay)
        source = self._source(spec)
        saved = self._saved.get(relay.id)
        if saved is not None:
            state = decode(saved.state)
        else:
            start = self._begin(relay, source)
            state = RelayState(
                start, [start] * targets.kind(spec.target).lanes, resumed=relay.resumed
            )
        return _Held(relay, spec, state, source)

    def _source(self, spec: Spec) -> Source:
        if spec.policy:
            return self._opening.of_policy(self._partition, spec)
        return MessageSource(self._log, spec)

    def _begin(self, relay: StoredRelay, source: Source | None = None) -> int:
        """Where a relay begins that has no state here yet."""
        if (saved := self._saved.get(relay.id)) is not None:
            return saved.offset
        if relay.since is not None:
            return source.offset_at(relay.since) if source is not None else self._log.start()
        return max(relay.starts.get(self._partition, 0), self._log.start())

    def _turn(self, held: _Held) -> None:
        """Put a relay to work, or to rest, as it should be now."""
        if held.relaying is not None and held.relaying.closed:  # another has fenced it off
            if not self._checkpoints.is_ours():
                raise Superseded(f"partition {self._partition} of relays has another worker")
            self._end_with(held)
        if held.ending is not None:
            if not held.ending.idle:
                return
            held.state = held.ending.state()
            held.ending = None
        if held.state.resumed < held.relay.resumed:
            held.state = msgspec.structs.replace(held.state, resumed=held.relay.resumed, stopped="")
        rests = held.spec.paused or bool(held.state.stopped)
        if held.relaying is None and not rests:
            held.source = self._source(held.spec)  # it remembers nothing of what was read before
            held.relaying = self._opening.begin(self._partition, held.spec, held.state, held.source)
            held.relaying.wake()

    def _end_with(self, held: _Held) -> None:
        if held.relaying is not None:
            held.relaying.close()
            held.ending, held.relaying = held.relaying, None

    def _settle(self) -> None:
        """Let deliveries at work end, so that their positions are saved."""
        self.close()
        deadline = self._monotonic() + _SETTLE
        while self._monotonic() < deadline and any(
            held.ending is not None and not held.ending.idle for held in self._held.values()
        ):
            time.sleep(0.01)

    # --- checkpoints ------------------------------------------------------------------------------

    def _save(self) -> None:
        """Save where every relay is, and stop those too far behind."""
        head = self._log.end
        floors: dict[tuple[str, str, str], int] = {}
        floor = head
        parts: list[Checkpoint] = []
        for held in self._held.values():
            working = held.relaying or held.ending
            if working is not None:
                held.state = working.state()
            self._measure(held)
        in_the_way = self._in_the_way()
        for id, held in self._held.items():
            self._stop_if_too_far(held, id in in_the_way)
            start = held.state.start
            if held.state.stopped:
                pass  # it holds nothing any more
            elif held.spec.policy:
                key = _stream(held)
                floors[key] = min(floors.get(key, start), start)
            else:
                floor = min(floor, start)
            saved = self._saved.get(id)
            if saved is None or self._differs(held.state, decode(saved.state)):
                held.state = msgspec.structs.replace(held.state, at=self._clock())
                parts.append(Checkpoint(id, start, encode(held.state)))
        first = self._log.start()
        if head != self._saved_head or parts or self._dropped:
            self._backlog.forget(min(floor, head))
            keys, gone = self._deduplicator.parts(floor=min(first, floor))
            own = Checkpoint(_HEAD, head, self._backlog.save())
            self._checkpoints.save([own, *parts, *keys], [*gone, *self._dropped])
            self._deduplicator.saved()
            self._saved |= {part.part: part for part in parts}
            for id in self._dropped:
                self._saved.pop(id, None)
            self._dropped, self._saved_head = [], head
        self._floor = floor
        self._trim(floors)

    def _differs(self, state: RelayState, saved: RelayState) -> bool:
        """Whether to save: a rate that fades after the last delivery is saved seldom."""
        if msgspec.structs.replace(state, at=saved.at, rate=saved.rate) != saved:
            return True
        return state.rate != saved.rate and self._clock() - saved.at > _SAVE_RATE_EVERY

    def _trim(self, floors: dict[tuple[str, str, str], int]) -> None:
        """Let the outbox of each policy forget what all of its relays have."""
        sources = {_stream(held): held.source for held in self._held.values()}
        for key, below in floors.items():
            source = sources[key]
            if isinstance(source, PolicySource) and below > source.extent()[0]:
                source.trim(below)

    def _measure(self, held: _Held) -> None:
        """How much waits for a relay."""
        start = held.state.start
        if isinstance(held.source, PolicySource):
            waiting = held.source.waiting(start)
            messages, size = waiting.records, waiting.bytes
            oldest = (held.state.oldest or self._clock()) if messages else 0
        else:
            messages = self._log.distance(start, self._log.end) if start < self._log.end else 0
            size = self._backlog.behind(start) if messages else 0
            oldest = self._backlog.since(start) if messages else 0
        held.state = msgspec.structs.replace(
            held.state, messages=messages, bytes=size, oldest=oldest
        )

    def _is_behind_outbox(self, held: _Held) -> bool:
        """Whether the outbox has let go of what waits for a relay, because it was too much."""
        if not isinstance(held.source, PolicySource):
            return False
        return held.state.start < held.source.extent()[0]

    def _in_the_way(self) -> set[str]:
        """The relays that lie furthest behind, where the journal gets full because of them."""
        pressure, now = self._journal.pressure(), self._monotonic()
        if pressure is None or pressure.by != "bytes" or pressure.full < _FULL:
            return set()
        if now - self._made_room < _TRIMS:
            return set()
        others = [
            one.offset
            for one in self._journal.positions()
            if one.partition == self._partition and one.name != CONSUMER
        ]
        needed = min(others, default=self._log.end)  # by the keeper, which cannot be stopped
        holding = {
            id: held.state.bytes
            for id, held in self._held.items()
            if not held.spec.policy and not held.state.stopped and held.state.start < needed
        }
        most = max(holding.values(), default=0)
        if most <= _SMALL:
            return set()
        self._made_room = now
        return {id for id, size in holding.items() if size > most // 2}

    def _stop_if_too_far(self, held: _Held, in_the_way: bool) -> None:
        if held.state.stopped or held.spec.reader:
            return
        behind = held.state.bytes
        reason = "hold" if behind > held.spec.hold or self._is_behind_outbox(held) else ""
        if not reason and in_the_way:
            reason = "full"
        if not reason:
            return
        log.error("a relay is stopped", relay=held.relay.id, why=reason, bytes=behind)
        start = held.state.start
        gap = Gap(start, start, 0, self._clock(), reason)
        held.state = msgspec.structs.replace(
            held.state, stopped=reason, gaps=[*held.state.gaps, gap]
        )
        if (working := held.relaying or held.ending) is not None:
            working.amend(held.state)
        self._end_with(held)


def _stream(held: _Held) -> tuple[str, str, str]:
    """The stream of the outbox that a relay reads, in this partition."""
    return held.relay.owner, held.spec.policy, held.spec.reader
