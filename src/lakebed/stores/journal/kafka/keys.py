"""Keys of QoS 2 messages that are not released yet, in a compacted topic that all gateways read.

A client that moves to another gateway in the middle of QoS 2 needs its unreleased packet
identifiers there. The journal's records have them, but no gateway can read all records. So each
held key is also written to this topic, with the partition of its message. It is written before the
message, so that every key in the journal is in the topic, and removed after the journal has
released it. The topic may therefore hold a key whose message was never written. `known` in the port
allows that.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from lakebed.stores.journal.age import SharedTime
from lakebed.stores.journal.kafka import errors
from lakebed.vocabulary import times
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

EVERYWHERE = 2**32 - 1
"""Stands for the partition of a message in the journal before this one: all partitions have its
key.
"""

_TIMEOUT = 10.0  # seconds
_CLOCK_SKEW = times.MINUTE  # that the clocks of two processes may differ
_SLICE = 0.2
_FETCH = 1000
_FEW = 1024  # held keys up to which expired ones are not searched for


class HeldKeys:
    """Keeps the topic's state in memory. A thread reads the topic from the first query on.

    Args:
        config: librdkafka's properties of a reader.
        topic: name of the compacted topic, which has one partition.
        end: returns the current end of such a topic: the record behind its last one.
        horizon: a key expires when it is older than this.
        time: of the keys.
        since: when the number of partitions was last changed: older keys may be in any of them.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        topic: str,
        end: Callable[[str], int],
        horizon: Micros,
        time: SharedTime,
        since: Callable[[], Micros],
    ) -> None:
        self._since = since
        self._config, self.topic, self._end = config, topic, end
        self._horizon, self._time = horizon, time
        self._held: dict[bytes, tuple[int, Micros]] = {}  # partition, time of its record
        self._expire_at = _FEW  # held keys above which expired ones are searched for
        self._changed = threading.Condition()
        self._reached = 0  # records read
        self._consumer: Consumer | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def row(self, key: bytes, partition: int | None) -> dict[str, Any]:
        """The row to produce: the key is held in that partition, or with None released."""
        value = None if partition is None else partition.to_bytes(4, "big")
        return {"topic": self.topic, "partition": 0, "key": key, "value": value}

    def note(self, rows: Sequence[Mapping[str, Any]], at: Micros) -> None:
        """Take over rows that this process made durable, before they are read back."""
        with self._changed:
            for row in rows:
                self._put(row["key"], row["value"], at)

    def beginning(self, prefix: bytes) -> list[bytes]:
        """The keys with this prefix that are held now, those of all gateways.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        self._catch_up()
        oldest = self._time.now() - self._horizon
        with self._changed:
            return sorted(
                key
                for key, (_, at) in self._held.items()
                if at >= oldest and key.startswith(prefix)
            )

    def partitions(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """The partitions of those of these keys that are held."""
        with self._changed:
            missing = any(key not in self._held for key in keys)
        if missing:
            self._catch_up()
        with self._changed:
            held, moved = self._held, self._since() + _CLOCK_SKEW
            return {
                key: EVERYWHERE if held[key][1] < moved else held[key][0]
                for key in keys
                if key in held
            }

    def is_everywhere(self, key: bytes) -> bool:
        """Whether all partitions have the key, as far as this process has read the topic.

        That is far enough: a gateway asks for the keys of a client before the client uses them.
        """
        with self._changed:
            return self._held.get(key, (0, 0))[0] == EVERYWHERE

    def expire(self) -> None:
        """Drop keys older than the horizon."""
        oldest = self._time.now() - self._horizon
        with self._changed:
            for key in [key for key, (_, at) in self._held.items() if at < oldest]:
                del self._held[key]

    def close(self) -> None:
        self._closed = True
        if self._thread is not None:
            self._thread.join()

    def _put(self, key: bytes, value: bytes | None, at: Micros) -> None:
        if value is None:
            self._held.pop(key, None)
        else:
            self._held[key] = int.from_bytes(value, "big"), at
            self._time.saw(at)
        if len(self._held) > self._expire_at:  # `trim` expires keys, but a gateway never trims
            self.expire()
            self._expire_at = max(_FEW, 2 * len(self._held))

    # --- reading ----------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        with errors.translated("asking for held keys"), self._changed:
            if self._consumer is None:
                self._consumer = Consumer({**self._config, "enable.partition.eof": True})
                self._consumer.assign([TopicPartition(self.topic, 0, 0)])
                self._thread = threading.Thread(target=self._run, name="journal-keys", daemon=True)
                self._thread.start()
        end = self._end(self.topic)
        deadline = monotonic() + _TIMEOUT
        with self._changed:
            while self._reached < end:
                left = deadline - monotonic()
                if left <= 0 or self._closed:
                    raise StoreUnavailable("the journal at Kafka does not deliver its held keys")
                self._changed.wait(min(left, _SLICE))

    def _run(self) -> None:
        assert self._consumer is not None
        while not self._closed:
            first = self._consumer.poll(_SLICE)
            if first is not None:
                self._take([first, *self._consumer.consume(_FETCH, 0)])
        self._consumer.close()

    def _take(self, messages: list[Message]) -> None:
        oldest = self._time.now() - self._horizon
        with self._changed:
            for message in messages:
                key, offset = message.key(), message.offset()
                failure = message.error()
                if failure is not None:
                    if failure.code() == KafkaError._PARTITION_EOF and offset is not None:
                        # after compaction the end lies behind the last record that is left
                        self._reached = max(self._reached, offset)
                    else:
                        log.info("held keys", error=errors.text(failure))
                elif offset is not None and isinstance(key, bytes):
                    at = message.timestamp()[1] * 1000
                    self._put(key, message.value() if at >= oldest else None, at)
                    self._reached = offset + 1
            self._changed.notify_all()
