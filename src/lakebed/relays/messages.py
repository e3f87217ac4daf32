"""Messages of one partition as records: what relays `from: {topics}` read.

shard ──absorb──> PartitionLog: duplicates are judged, the newest entries stay in memory
journal ─────────────┘     └──entries, without duplicates──> MessageSource, one for each relay
                                   match topics ─> filter, transform (`Pipeline`) ─> records
"""

import threading
from collections import deque
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.consuming.deduplication import Deduplicator
from lakebed.policies.outcomes import Outcome
from lakebed.policies.pipeline import Pipeline
from lakebed.ports.journal.reading import JournalReader
from lakebed.ports.relays import Record
from lakebed.relays.documents import Spec
from lakebed.relays.source import Piece
from lakebed.vocabulary.attributes import Attributes
from lakebed.vocabulary.limits import PARKED
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.policy import Transform
from lakebed.vocabulary.surroundings import PROPERTY
from lakebed.vocabulary.times import DAY, Micros
from lakebed.vocabulary.topics import matches

_RECENT = 8 * 2**20  # bytes of entries that stay in memory
_VERDICTS = 100_000  # channels whose match is remembered
_FUTURE: Micros = 36_500 * DAY  # a relay leaves no message out for its time


class PartitionLog:
    """The messages of a partition up to where the shard has absorbed them. Any thread reads.

    Attributes:
        end: everything below it can be read.
    """

    def __init__(self, partition: int, journal: JournalReader, deduplicator: Deduplicator) -> None:
        self._partition, self._journal = partition, journal
        self._deduplicator = deduplicator
        self._lock = threading.Lock()
        self._recent: deque[tuple[Entry, int]] = deque()
        self._bytes = 0
        self.end = 0

    def absorb(self, entries: Sequence[Entry]) -> None:
        """Take in the next entries; on the shard's thread."""
        with self._lock:
            self._deduplicator.judge(entries)
            for entry in entries:
                size = sum(map(len, entry.batch.payloads)) + 64 * len(entry.batch)
                self._recent.append((entry, size))
                self._bytes += size
            while self._bytes > _RECENT and len(self._recent) > 1:
                self._bytes -= self._recent.popleft()[1]
            self.end = entries[-1].end

    def start(self) -> int:
        """The first offset that can be read."""
        extent = self._journal.extent().get(self._partition)
        return 0 if extent is None else extent[0]

    def distance(self, start: int, end: int) -> int:
        return self._journal.distance(self._partition, start, end)

    def read(self, offset: int, limit: int) -> list[tuple[Entry, NDArray[np.bool_] | None]]:
        """Entries of about `limit` messages, each with which of them count; None for all.

        Raises:
            StoreUnavailable: the journal does not answer.
        """
        with self._lock:
            end = self.end
            entries = self._cached(offset, limit)
        if entries is None:
            entries = self._journal.entries(self._partition, offset, limit)
        found = [cut for entry in entries if (cut := _below(entry, end)) is not None]
        with self._lock:
            return [(entry, self._deduplicator.recall([entry])) for entry in found]

    def _cached(self, offset: int, limit: int) -> list[Entry] | None:
        """What of it is in memory; None where its beginning is not."""
        if not self._recent or offset < self._recent[0][0].offset:
            return None
        found: list[Entry] = []
        count = 0
        for entry, _ in self._recent:
            if entry.end <= offset:
                continue
            cut = entry
            if offset > entry.offset:
                start = min(offset - entry.offset, len(entry.batch))
                cut = Entry(
                    entry.partition, entry.offset + start, entry.batch.behind(start),
                    entry.end - entry.offset - max(start, len(entry.batch)),
                )  # fmt: skip
            found.append(cut)
            count += len(cut.batch)
            if count >= limit:
                break
        return found


def _below(entry: Entry, end: int) -> Entry | None:
    """The part of an entry below `end`: what lies behind was not judged yet."""
    if entry.offset >= end:
        return None
    if entry.end <= end:
        return entry
    keep = np.arange(end - entry.offset)
    return Entry(entry.partition, entry.offset, entry.batch.take(keep))


class _Memory(msgspec.Struct):
    channels: list[tuple[str, str]]
    filters: bytes


class MessageSource:
    """Implements `relays.source.Source` for the messages of one relay. Used by one thread."""

    def __init__(self, log: PartitionLog, spec: Spec) -> None:
        self._log, self._spec = log, spec
        self._verdicts: dict[Channel, bool] = {}
        self._codes: dict[Channel, int] = {}
        self._pipeline = None if spec.reading is None else Pipeline(spec.reading, _FUTURE)
        self._transforms = spec.reading is not None and spec.reading.transform != Transform()
        self.filtered = 0

    def extent(self) -> tuple[int, int]:
        return self._log.start(), self._log.end

    def read(self, offset: int, limit: int) -> Piece:
        records: list[Record] = []
        offsets: list[int] = []
        end = offset
        for entry, counts in self._log.read(offset, limit):
            end = max(end, entry.end)
            self._take(entry, counts, records, offsets)
        return Piece(records, offsets, end)

    def offset_at(self, time: Micros) -> int:
        """By halving: receive times of a partition grow, as far as clocks do."""
        low, high = self.extent()
        while low < high:
            middle = (low + high) // 2
            entry = next((e for e, _ in self._log.read(middle, 1) if len(e.batch)), None)
            if entry is None or int(entry.batch.received[0]) >= time:
                high = middle
            else:
                low = max(middle + 1, entry.offset + 1)
        return low

    def snapshot(self) -> bytes:
        """What `max_rate` and `unique` remember; empty where they are not used."""
        filters = b"" if self._pipeline is None else self._pipeline.snapshot()
        if not filters:
            return b""
        return msgspec.msgpack.encode(_Memory([(c.owner, c.topic) for c in self._codes], filters))

    def restore(self, memory: bytes) -> None:
        if memory and self._pipeline is not None:
            saved = msgspec.msgpack.decode(memory, type=_Memory)
            self._codes = {Channel(*channel): i for i, channel in enumerate(saved.channels)}
            self._pipeline.restore(saved.filters)

    def _take(
        self,
        entry: Entry,
        counts: NDArray[np.bool_] | None,
        records: list[Record],
        offsets: list[int],
    ) -> None:
        batch = entry.batch
        if not len(batch):
            return
        wanted = np.fromiter(map(self._wants, batch.channels), np.bool_, len(batch.channels))
        if not wanted.any():
            return
        chosen = wanted[batch.channel] if counts is None else wanted[batch.channel] & counts
        only = batch.sparse.only
        if only is not None:  # sent again for a policy that broke: relays have it already
            chosen = chosen & np.fromiter((not name for name in only), np.bool_, len(batch))
        if (parked := _parked(batch)) is not None:  # each comes again when it is released
            chosen = chosen & ~parked
        index = np.flatnonzero(chosen)
        if not len(index):
            return
        picked = batch.take(index)
        times = picked.times
        values: Sequence[object] | None = None
        kept = np.arange(len(index))
        if self._pipeline is not None:
            codes = np.array([self._code(c) for c in picked.channels], np.int32)[picked.channel]
            result = self._pipeline.run(codes, picked.payloads, times, picked.received)
            self.filtered += int(np.count_nonzero(result.outcomes != Outcome.KEPT))
            kept = result.kept
            values = result.numbers.tolist() if result.numbers is not None else result.texts
            moments = result.times.tolist()
        else:
            moments = times.tolist()
        attributes, ids = picked.sparse.attributes, picked.sparse.ids
        for n, row in enumerate(kept.tolist()):
            offset = entry.offset + int(index[row])
            value = None if values is None else values[n]
            records.append(
                Record(
                    id=f"{entry.partition}:{offset}",
                    topic=picked.channels[picked.channel[row]].topic,
                    time=moments[n],
                    received=int(picked.received[row]),
                    values={} if values is None else {"value": self._typed(value)},
                    payload=self._payload(picked.payloads[row], value),
                    attributes=surroundings(
                        None if attributes is None else attributes[row],
                        "" if ids is None else ids[row],
                    ),
                )
            )
            offsets.append(offset)

    def _typed(self, value: object) -> object:
        """The value of a record: JSON is decoded, and 1 of a boolean is true."""
        reading = self._spec.reading
        assert reading is not None
        if reading.type == "boolean" and isinstance(value, (int, float)):
            return bool(value)
        if reading.type == "json" and isinstance(value, str):
            return msgspec.json.decode(value)
        return value

    def _payload(self, payload: bytes, value: object) -> bytes:
        if not self._transforms:
            return payload
        if isinstance(value, str):
            return value.encode()
        return msgspec.json.encode(value)

    def _code(self, channel: Channel) -> int:
        return self._codes.setdefault(channel, len(self._codes))

    def _wants(self, channel: Channel) -> bool:
        verdict = self._verdicts.get(channel)
        if verdict is None:
            if len(self._verdicts) >= _VERDICTS:
                self._verdicts.clear()
            spec = self._spec
            verdict = channel.owner == spec.owner and any(
                matches(filter, channel.topic) for filter in spec.topics
            )
            self._verdicts[channel] = verdict
        return verdict


def _parked(batch: Batch) -> NDArray[np.bool_] | None:
    """bool[n], which messages were over a limit; None where none has such a decision."""
    attributes = batch.sparse.attributes
    if attributes is None:
        return None
    held = [any(name == PARKED for name, _ in one.decisions) for one in attributes.table]
    return np.array(held, np.bool_)[attributes.codes] if any(held) else None


def surroundings(attributes: Attributes | None, id: str) -> Mapping[str, str]:
    """What surrounded a message, and the id that its sender gave."""
    found = {} if attributes is None else shown(attributes)
    return {**found, "message_id": id} if id else found


def shown(attributes: Attributes) -> Mapping[str, str]:
    """What surrounded a message, by the names that policies use (`vocabulary.surroundings`)."""
    found = dict(attributes.decisions)
    for name in ("content_type", "principal"):
        if value := getattr(attributes, name):
            found[name] = value
    found.update({f"{PROPERTY}{name}": value for name, value in attributes.properties})
    return found
