"""Encodes batches as Kafka records, and decodes them.

    Batch ──by partition──by size──> value: a block (stores/journal/blocks.py)
                                     headers: "k" the keys of its messages, "f" keys to release

A record holds a block of messages, not one message: a record costs about a microsecond to produce
and another to consume, a message within a block a tenth of that. Kafka's own key is therefore
empty, and the partition is chosen here, by owner and topic.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from confluent_kafka import Message

from lakebed.stores.journal import blocks
from lakebed.stores.journal.blocks import Damaged
from lakebed.stores.journal.kafka.positions import MOST, pack
from lakebed.vocabulary.messages import Batch, Channel, Entry

Headers = Sequence[tuple[str, str | bytes | None]] | Mapping[str, str | bytes | None]
_KEYS, _RELEASE = "k", "f"
_RECORD = 640 * 2**10  # bytes of a record before compression, about; Kafka's default limit is 1 MiB
_MESSAGE_COST = 16  # bytes of a message besides payload, id and key, at most
ROOM = 2**16
"""Bytes that a record may need besides its largest payload."""

_unpack = msgspec.msgpack.Decoder(list[bytes])
EMPTY = Batch((), np.zeros(0, np.int32), [], np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True)
class Record:
    """A record to be sent, which holds `count` messages of one partition."""

    partition: int
    count: int
    value: bytes
    headers: list[tuple[str, str | bytes | None]]
    owners: Mapping[str, int]

    @property
    def size(self) -> int:
        return len(self.value) + sum(len(value or ()) for _, value in self.headers)


def partition_of(channel: Channel, partitions: int) -> int:
    """The partition of a channel. It never changes, because the order of messages depends on it."""
    return zlib.crc32(f"{channel.owner}\0{channel.topic}".encode()) % partitions


def split(batch: Batch, partitions: int) -> Iterator[tuple[int, Batch]]:
    """Yield each partition with its messages, in order."""
    of_channel = np.array([partition_of(c, partitions) for c in batch.channels], np.int32)
    of_message = of_channel[batch.channel]
    for partition in np.unique(of_message).tolist():
        index = np.flatnonzero(of_message == partition)
        yield partition, _compact(batch if len(index) == len(batch) else batch.take(index))


def encode(partition: int, batch: Batch, release: Sequence[bytes]) -> Iterator[Record]:
    """Yield the records of one partition's messages; keys to release stand in the last one."""
    pieces = list(_pieces(batch)) or [batch]
    for i, piece in enumerate(pieces):
        headers: list[tuple[str, str | bytes | None]] = []
        keys = piece.sparse.keys
        if keys is not None and any(keys):
            headers.append((_KEYS, msgspec.msgpack.encode(keys)))
        if release and i == len(pieces) - 1:
            headers.append((_RELEASE, msgspec.msgpack.encode(release)))
        yield Record(partition, len(piece), blocks.encode(piece), headers, _owners(piece))


def decode(partition: int, record: int, value: bytes | None, headers: Headers | None) -> Entry:
    """Decode a record into an entry.

    Raises:
        Damaged: the record is not one of Lakebed's, or is not as it was written.
    """
    batch = blocks.decode(value or b"")
    given = dict(headers or ())
    keys, release = _list(given.get(_KEYS)), _list(given.get(_RELEASE))
    if len(batch) > MOST or (keys is not None and len(keys) != len(batch)):
        raise Damaged("the keys do not fit")
    if keys is not None:
        batch = replace(batch, sparse=batch.sparse._replace(keys=keys))
    return Entry(partition, pack(record), batch, MOST - len(batch), release or ())


def size(message: Message) -> int:
    """Bytes of its value and its headers, about."""
    headers = message.headers() or ()
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return len(message) + sum(len(value or ()) for _, value in pairs)


def nothing(partition: int, start: int, end: int) -> Entry:
    """An entry without messages that spans the offsets from `start` to `end`."""
    return Entry(partition, start, EMPTY, end - start)


def _list(packed: str | bytes | None) -> list[bytes] | None:
    try:
        return _unpack.decode(packed) if isinstance(packed, bytes) else None
    except msgspec.MsgspecError as error:
        raise Damaged(str(error)) from None


def _owners(batch: Batch) -> dict[str, int]:
    """How many of its messages each owner has."""
    names = {channel.owner for channel in batch.channels}
    if len(names) == 1:
        return {names.pop(): len(batch)}
    found = dict.fromkeys(sorted(names), 0)
    counts = np.bincount(batch.channel, minlength=len(batch.channels)).tolist()
    for channel, count in zip(batch.channels, counts, strict=True):
        found[channel.owner] += count
    return found


def _compact(batch: Batch) -> Batch:
    """The batch without channels that none of its messages has."""
    used, codes = np.unique(batch.channel, return_inverse=True)
    if len(used) == len(batch.channels):
        return batch
    channels = tuple(batch.channels[code] for code in used.tolist())
    return replace(batch, channels=channels, channel=codes.astype(np.int32))


def _pieces(batch: Batch) -> Iterator[Batch]:
    """Divide a batch into batches of about `_RECORD` bytes; a larger payload stands alone."""
    n = len(batch)
    sizes = np.fromiter(map(len, batch.payloads), np.int64, n) + _MESSAGE_COST
    ends = np.cumsum(sizes + batch.sparse.sizes(n))
    start = 0
    while start < n:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _RECORD, side="right")))
        stop = min(stop, start + MOST - 1)
        if (start, stop) == (0, n):
            yield batch
        else:
            yield _compact(batch.take(np.arange(start, stop)))
        start = stop
