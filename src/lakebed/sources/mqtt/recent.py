"""QoS 1 messages of one session that came in last: sent again with DUP, they are stored once.

    PUBLISH ──> note ──> stored, PUBACK ──> lost on the way
    PUBLISH with DUP ──> has? ──> yes: PUBACK alone

A client sends again what it got no PUBACK for, under the same packet identifier. These are the
messages that came last, because acks leave in order. A message counts as the same if identifier,
topic, payload and event time are equal: a client may use an identifier for another message as soon
as it has the PUBACK.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lakebed.sources.mqtt.codec.publish import Run
from lakebed.vocabulary.times import SECOND, UNSET, Micros

MOST = 1_024
"""Messages of a session, about: as many as clients leave without an answer."""

HORIZON = 10 * SECOND
"""How much older than the newest they may be: acks of older ones arrived, or the newest came
without them on a connection that works."""


@dataclass(frozen=True, slots=True)
class Resent:
    """QoS 1 messages that were sent again and are stored already: they are only acknowledged."""

    packet_ids: list[bytes]


class RecentPublishes:
    """Belongs to a session, and forgets with it."""

    __slots__ = ("_count", "_index", "_reads")

    def __init__(self) -> None:
        self._reads: deque[tuple[Micros, Sequence[bytes], Sequence[Any], tuple[int, ...]]] = deque()
        self._count = 0
        self._index: dict[bytes, tuple[Any, int]] | None = None

    def clear(self) -> None:
        self._reads.clear()
        self._count = 0
        self._index = None

    def note(self, run: Run[Any], received: Micros) -> None:
        """Remember the messages of a run of one read."""
        self._note(received, run.packet_ids, run.targets, _hashes(run))

    def note_single(self, packet_id: bytes, target: Any, payload: bytes, received: Micros) -> None:
        """Remember a message that was a read by itself."""
        self._note(received, (packet_id,), (target,), (hash(payload),))

    def _note(
        self,
        received: Micros,
        packet_ids: Sequence[bytes],
        targets: Sequence[Any],
        hashes: tuple[int, ...],
    ) -> None:
        reads = self._reads
        reads.append((received, packet_ids, targets, hashes))
        self._count += len(hashes)
        self._index = None
        oldest = received - HORIZON
        while (self._count > MOST and len(reads) > 1) or reads[0][0] < oldest:
            self._count -= len(reads.popleft()[3])

    def split(self, run: Run[Any]) -> tuple[list[int], list[int]]:
        """The places of a run's messages that are new, and of those that are remembered."""
        index = self._indexed()
        new: list[int] = []
        known: list[int] = []
        for place, (packet_id, hashed) in enumerate(zip(run.packet_ids, _hashes(run), strict=True)):
            same = index.get(packet_id) == (run.targets[place], hashed)
            (known if same else new).append(place)
        return new, known

    def _indexed(self) -> dict[bytes, tuple[Any, int]]:
        if self._index is None:
            self._index = {
                packet_id: (target, hashed)
                for _, packet_ids, targets, hashes in self._reads
                for packet_id, target, hashed in zip(packet_ids, targets, hashes, strict=True)
            }
        return self._index


def _hashes(run: Run[Any]) -> tuple[int, ...]:
    if run.event is None:
        return tuple(map(hash, run.payloads))
    pairs = zip(run.payloads, run.event, strict=True)
    return tuple(hash(one) if event == UNSET else hash((one, event)) for one, event in pairs)
