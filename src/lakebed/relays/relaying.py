"""One relay at work in one partition: reads its source, and hands records to its lanes.

    Source.read ──Piece──> template ──by hash of the topic──> lanes ──> target
         ^                                                      │
         └── while there is room: `Memory` ─────────────────────┘

Where every lane is, together, is its `RelayState`: reading begins there again after a crash, and
each lane leaves out what lies below its own position.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, runtime_checkable
from zlib import crc32

import msgspec
import structlog

from lakebed.metering.outgoing import CountSent, uncounted
from lakebed.ports.catalog.dead_letters import DeadLetterSink
from lakebed.ports.relays import Record, Target
from lakebed.relays import targets
from lakebed.relays.asking import Asking
from lakebed.relays.documents import Spec
from lakebed.relays.lanes import Lane, Waiting
from lakebed.relays.letters import letter_of
from lakebed.relays.pool import Pool
from lakebed.relays.source import Piece, Source
from lakebed.relays.state import Gap, RelayState
from lakebed.relays.templates import TooLarge
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.times import now as wall_clock

log = structlog.get_logger(__name__)

WAY = "relay"
"""By which records go, in the byte ledger and in metrics."""

_MOST_READ = 2_000  # records read at a time
_PIECE = 2**20  # bytes read at a time, about
_SMALLEST = 256 * 1024  # bytes that a relay may have in memory in any case
_OVERHEAD = 400  # bytes of a record besides its payload and values
_MOST_MADE = 8 * 2**20  # bytes that a template makes of what was read at a time
_MOST_FILTERED = 64  # records read at a time, where they are filtered and a template is used
_WAIT = 0.5  # seconds until there may be room again
_AGAIN = 1.0  # seconds until a source that does not answer is read again
_MOST_GAPS = 100


class Memory:
    """Bytes of records that wait for delivery, divided among all relays at work. Any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.relays = 0

    @property
    def share(self) -> int:
        return max(_SMALLEST, self._most // max(1, self.relays))


@runtime_checkable
class Filtering(Protocol):
    """A source that filters, and may do so by what it has seen.

    Attributes:
        filtered: records left out since it was last set.
    """

    filtered: int

    def snapshot(self) -> bytes: ...

    def restore(self, memory: bytes) -> None: ...


@runtime_checkable
class Expiring(Protocol):
    """A source that names what it may not have any more when it is read.

    Attributes:
        missed: records of which that was so.
    """

    missed: int


class Relaying:
    """A `pool.Task` that reads; its lanes are tasks of their own.

    Args:
        state: where it goes on.
        open_target: opens the target of a lane by its number.
        distance: about how many records lie between two offsets.
        sent: counts what the target has taken, for the byte ledger.
    """

    suspect = False

    def __init__(
        self,
        partition: int,
        spec: Spec,
        state: RelayState,
        source: Source,
        open_target: Callable[[int], Target],
        asking: Asking,
        pool: Pool,
        memory: Memory,
        letters: DeadLetterSink,
        distance: Callable[[int, int], int],
        sent: CountSent = uncounted,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self.spec, self.asking = spec, asking
        self._partition, self._state, self._source = partition, state, source
        self._pool, self._memory, self._letters = pool, memory, letters
        self._distance, self._sent = distance, sent
        self._monotonic, self._clock = monotonic, clock
        self._lock = threading.Lock()
        self._bytes = self._refused = self._filtered = self._missed = 0
        self._mean = 1_000.0  # bytes of a record, of late
        self._read_at = state.start
        self._boundaries: deque[tuple[int, bytes]] = deque([(state.start, state.memory)])
        self._begun = self._busy = False
        self.closed = False
        self.error, self.error_at = "", 0
        if state.memory and isinstance(source, Filtering):
            source.restore(state.memory)
        self._counted = (0, 0)
        skips = _spread(state.lanes, targets.kind(spec.target).lanes)
        self.lanes = [
            Lane(
                number, partition, spec, skip, partial(open_target, number),
                asking, self, monotonic,
            )
            for number, skip in enumerate(skips)
        ]  # fmt: skip
        memory.relays += 1

    # --- from the shard ---------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be more to read."""
        self._pool.schedule(self)

    def close(self) -> None:
        """Send nothing more; idempotent. What is being sent goes on until its time-out."""
        if self.closed:
            return
        self.closed = True
        self._memory.relays -= 1
        for lane in self.lanes:
            lane.close()
            self._pool.schedule(lane)  # which closes its target

    @property
    def idle(self) -> bool:
        """Whether nothing is being read or sent."""
        return not self._busy and all(lane.idle for lane in self.lanes)

    def state(self) -> RelayState:
        """Where it is now: everything below was delivered, or refused."""
        with self._lock:
            read_at = self._read_at  # before the lanes: what is read later is in none of them
            positions = []
            for lane in self.lanes:
                first = lane.outstanding()
                positions.append(max(lane.skip, read_at if first is None else first))
            lowest = min(positions)
            edges = self._boundaries
            while len(edges) > 1 and edges[1][0] <= lowest:
                edges.popleft()
            start, memory = edges[0]
            if not memory:
                start = min(max(lowest, start), read_at)
            self._state = self._counts(start, positions, memory)
            return self._state

    def amend(self, state: RelayState) -> None:
        """Go on from what the shard has made of `state()`."""
        with self._lock:
            self._state = state

    def _counts(self, start: int, positions: list[int], memory: bytes) -> RelayState:
        asking, before = self.asking, self._state
        delivered = sum(lane.delivered for lane in self.lanes)
        retries = sum(lane.retries for lane in self.lanes)
        word, wait, rate = asking.told()
        refused, self._refused = self._refused, 0
        filtered, self._filtered = self._filtered, 0
        missed = self._source.missed if isinstance(self._source, Expiring) else 0
        expired, self._missed = missed - self._missed, missed
        known = self._counted
        self._counted = delivered, retries
        return msgspec.structs.replace(
            before,
            start=start,
            lanes=positions,
            memory=memory,
            delivered=before.delivered + delivered - known[0],
            retries=before.retries + retries - known[1],
            refused=before.refused + refused,
            filtered=before.filtered + filtered,
            expired=before.expired + expired,
            circuit=word,
            wait=wait,
            rate=round(rate, 3),
            error=asking.error or self.error,
            error_at=asking.error_at or self.error_at,
        )

    # --- reading, on a thread of the pool ---------------------------------------------------------

    def run(self) -> float | None:
        if self.closed:
            return None
        self._busy = True
        try:
            return self._read()
        except LakebedError as error:
            self.error, self.error_at = str(error), self._clock()
            return _AGAIN
        finally:
            self._busy = False

    def _read(self) -> float | None:
        room = self._memory.share - self._bytes
        if room <= 0:
            for lane in self.lanes:
                lane.flush()
                self._pool.schedule(lane)
            return _WAIT
        start, end = self._source.extent()
        self._skip_gap(start)
        if self._read_at >= end:
            self.error, self.error_at = "", 0
            return None
        most = _MOST_READ
        if self.spec.template is not None and isinstance(self._source, Filtering):
            most = _MOST_FILTERED  # it cannot be read again, so nothing of it is put back
        limit = int(min(most, max(1.0, min(room, _PIECE) / self._mean)))
        piece = self._source.read(self._read_at, limit)
        self._hand_out(piece)
        self.error, self.error_at = "", 0
        return 0.0 if piece.end < end else None

    def _skip_gap(self, start: int) -> None:
        """Note what the source has no more; close the gap that a stop has opened."""
        gaps = [gap for gap in self._state.gaps if gap.end > gap.start]
        opened = [gap for gap in self._state.gaps if gap.end <= gap.start]
        if self._read_at >= start and not opened:
            return
        if self._read_at < start:
            reason = opened[-1].reason if opened else "trimmed"
            since = opened[-1].since if opened else self._clock()
            missed = self._distance(self._read_at, start)
            gaps.append(Gap(self._read_at, start, missed, since, reason))
            log.warning("a relay misses messages", relay=self.spec.id, messages=missed, why=reason)
        with self._lock:
            self._state = msgspec.structs.replace(self._state, gaps=gaps[-_MOST_GAPS:])
            if self._read_at < start:
                self._read_at = start
                self._boundaries = deque([(start, self._snapshot())])

    def _hand_out(self, piece: Piece) -> None:
        now = self._monotonic()
        piece, records = self._made(piece)  # first: it may fail, and the piece is read again
        due: dict[Lane, float] = {}
        total = 0
        for record, offset in zip(records, piece.offsets, strict=True):
            if record is None:
                continue
            lane = self._lane_of(record)
            if offset < lane.skip:
                continue
            size = _size(record)
            total += size
            due[lane] = lane.add(Waiting(record, offset, size, now))
        count = len(piece.records)
        if count:
            self._mean = 0.8 * self._mean + 0.2 * max(1.0, total / count)
        with self._lock:
            self._bytes += total
            if isinstance(self._source, Filtering):
                self._filtered, self._source.filtered = (
                    self._filtered + self._source.filtered,
                    0,
                )
            self._read_at = piece.end
            if (memory := self._snapshot()) or self._boundaries[-1][1]:
                self._boundaries.append((piece.end, memory))
        for lane, seconds in due.items():
            self._pool.schedule(lane, seconds)

    def _made(self, piece: Piece) -> tuple[Piece, Sequence[Record | None]]:
        """The records as they are sent; None where it is too large, which is a dead letter then.

        Where they become very large it is a part of the piece, and the rest is read again.
        """
        template = self.spec.template
        if template is None:
            return piece, piece.records
        made: list[Record | None] = []
        refused: list[tuple[Waiting, str]] = []
        size, cuts = 0, not isinstance(self._source, Filtering)
        for number, (record, offset) in enumerate(zip(piece.records, piece.offsets, strict=True)):
            if cuts and size > _MOST_MADE and offset > piece.offsets[number - 1]:
                piece = Piece(piece.records[:number], piece.offsets[:number], offset)
                break
            try:
                payload = template.payload(record)
                size += len(payload)
                made.append(replace(record, payload=payload))
            except TooLarge as error:
                made.append(None)
                if offset >= self._lane_of(record).skip:
                    refused.append((Waiting(record, offset, 0, 0.0), str(error)))
        if refused:
            self._write_letters(refused, raw=True)
        return piece, made

    def _lane_of(self, record: Record) -> Lane:
        return self.lanes[crc32(record.topic.encode()) % len(self.lanes)]

    def _snapshot(self) -> bytes:
        return self._source.snapshot() if isinstance(self._source, Filtering) else b""

    # --- lanes.Holder -----------------------------------------------------------------------------

    def taken(self, count: int, size: int) -> None:
        with self._lock:
            self._bytes -= size
        if not self.closed:
            self._pool.schedule(self)

    def sent(self, some: Sequence[Waiting]) -> None:
        spec = self.spec
        topic = spec.topics[0] if len(spec.topics) == 1 else "#"
        size = sum(
            one.size if one.record.payload is None else len(one.record.payload) for one in some
        )
        self._sent(WAY, spec.owner, f"relay:{spec.name}", topic, spec.policy, len(some), size)

    def dead(self, refused: Sequence[tuple[Waiting, str]]) -> None:
        self._write_letters(refused)

    def _write_letters(self, refused: Sequence[tuple[Waiting, str]], raw: bool = False) -> None:
        at = self._clock()
        self._letters.add_dead_letters(
            [
                letter_of(self.spec, self._partition, one.record, one.offset, reason, at, raw)
                for one, reason in refused
            ]
        )
        with self._lock:
            self._refused += len(refused)

    def superseded(self) -> None:
        self.close()


def _size(record: Record) -> int:
    """Bytes that a record takes in memory, about."""
    size = _OVERHEAD + len(record.topic) + 64 * (len(record.values) + len(record.attributes))
    for value in record.values.values():
        if isinstance(value, str):
            size += len(value)
    return size + (0 if record.payload is None else len(record.payload))


def _spread(positions: Sequence[int], lanes: int) -> list[int]:
    """The positions of so many lanes; of another number of them the lowest counts for all."""
    if len(positions) == lanes:
        return list(positions)
    return [min(positions, default=0)] * lanes
