"""Examples of messages that were not kept, by owner, policy and reason, which the flow only counts.

They are saved with the ledger, those of one owner in one checkpoint part. Their number is bounded:
`KEEP` messages of each reason, with the beginning of their payloads, and `REASONS` reasons an
owner, of which the one not seen for longest is evicted. A batch costs a look at its outcomes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.keeper.chunk import Chunk
from lakebed.policies.outcomes import CODES, Outcome
from lakebed.ports.catalog.checkpoints import Checkpoint, CheckpointReader
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import Micros

CONSUMER = "examples"
"""The name under which they are saved, beside the keeper's own."""

KEEP = 5
REASONS = 200
EXCERPT = 120  # bytes of a payload
_LONGEST = 1000  # characters of a topic; a longer one would not fit and must not be cut
_PAUSE = 0.1  # seconds in which a reason is not looked at again
_MOST_PAUSED = 10_000  # reasons
_TAIL = 1000  # messages without a policy that are looked at


class Example(NamedTuple):
    """One message that was not kept. `policy` is "" where none asks for its topic."""

    policy: str
    outcome: int
    topic: str
    partition: int
    offset: int
    time: Micros
    received: Micros
    size: int
    excerpt: bytes


Key = tuple[str, int]
"""policy, outcome"""


class Examples:
    """The examples of one partition. Used by the keeper's thread."""

    def __init__(self, partition: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._partition, self._monotonic = partition, monotonic
        self._owners: dict[str, dict[Key, deque[Example]]] = {}
        self._changed: set[str] = set()
        self._resting: dict[tuple[str, str, int], float] = {}

    def note(
        self,
        policy: tuple[str, str],
        outcomes: NDArray[np.uint8],
        chunk: Chunk,
        rows: NDArray[np.intp],
        channels: Sequence[Channel],
    ) -> None:
        """Keep the last few of n messages for each reason that a policy had.

        Args:
            policy: owner and name.
            outcomes: uint8[n].
            rows: intp[n], where in the chunk each of them stands, ascending.
        """
        if not outcomes.any():  # all of them were kept
            return
        owner, name = policy
        for code in np.flatnonzero(np.bincount(outcomes, minlength=CODES)).tolist():
            if code != Outcome.KEPT and self._is_due(owner, (name, code)):
                for row in rows[np.flatnonzero(outcomes == code)[-KEEP:]].tolist():
                    self._add(channels[int(chunk.channel[row])], (name, code), chunk, row)

    def note_skipped(
        self, skipped: NDArray[np.intp], chunk: Chunk, channels: Sequence[Channel]
    ) -> None:
        """Keep the last few of each owner that no policy asked for, among the newest messages."""
        newest = skipped[-_TAIL:]
        if not len(newest):
            return
        key = ("", int(Outcome.SKIPPED))
        codes = chunk.channel[newest]
        owners: dict[str, list[int]] = {}
        for code in np.unique(codes).tolist():
            owners.setdefault(channels[code].owner, []).append(code)
        for owner, theirs in owners.items():
            if self._is_due(owner, key):
                for row in newest[np.flatnonzero(np.isin(codes, theirs))[-KEEP:]].tolist():
                    self._add(channels[int(chunk.channel[row])], key, chunk, row)

    def _is_due(self, owner: str, key: Key) -> bool:
        """Whether to collect examples of a reason; one that every batch has is collected rarely."""
        known = self._owners.get(owner, {}).get(key, ())
        at = self._monotonic()
        if len(known) == KEEP and self._resting.get((owner, *key), 0.0) > at:
            return False
        if len(self._resting) > _MOST_PAUSED:
            self._resting = {key: until for key, until in self._resting.items() if until > at}
        self._resting[owner, *key] = at + _PAUSE
        return True

    def _add(self, channel: Channel, key: Key, chunk: Chunk, row: int) -> None:
        if len(channel.topic) > _LONGEST:
            return
        known = self._owners.setdefault(channel.owner, {})
        ring = known.pop(key, None) or deque(maxlen=KEEP)
        payload = chunk.payloads[row]
        ring.append(
            Example(
                *key,
                channel.topic,
                self._partition,
                int(chunk.offset[row]),
                int(chunk.times[row]),
                int(chunk.received[row]),
                len(payload),
                bytes(payload[:EXCERPT]),
            )
        )
        known[key] = ring  # at the end: the one seen last
        if len(known) > REASONS:
            del known[next(iter(known))]
        self._changed.add(channel.owner)

    def of(self, owner: str) -> list[list[Example]]:
        """The examples of an owner, those of each reason in the order in which they came."""
        return [list(ring) for ring in self._owners.get(owner, {}).values()]

    def take_changed(self, offset: int) -> list[Checkpoint]:
        """Return a part for each owner whose examples have changed since the last call."""
        changed, self._changed = sorted(self._changed), set()
        return [Checkpoint(owner, offset, _encode(self._owners[owner])) for owner in changed]

    def restore(self, parts: Sequence[Checkpoint]) -> None:
        for part in parts:
            rings = [deque(ring, KEEP) for ring in _decode(part.state)]
            self._owners[part.part] = {(r[0].policy, r[0].outcome): r for r in rings}


def _encode(rings: dict[Key, deque[Example]]) -> bytes:
    return msgspec.msgpack.encode([list(ring) for ring in rings.values()])


def _decode(state: bytes) -> list[list[Example]]:
    rings: list[list[Any]] = msgspec.msgpack.decode(state)
    return [[Example(*fields) for fields in ring] for ring in rings]


def load(store: CheckpointReader, owner: str) -> list[Example]:
    """Load the saved examples of an owner in all partitions, the newest first."""
    parts = (part for parts in store.checkpoints(CONSUMER).values() for part in parts)
    return newest_of_each(
        ring for part in parts if part.part == owner for ring in _decode(part.state)
    )


def newest_of_each(rings: Iterable[Sequence[Example]]) -> list[Example]:
    """Of the examples of several partitions the newest of each policy and reason."""
    found: dict[Key, list[Example]] = {}
    for ring in rings:
        found.setdefault((ring[0].policy, ring[0].outcome), []).extend(ring)
    newest = [sorted(e, key=lambda x: (x.received, x.offset), reverse=True) for e in found.values()]
    return [example for examples in newest for example in examples[:KEEP]]
