"""Reads records by their offset, outside of any group: for taps, previews and flow."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from lakebed.stores.journal.kafka import errors
from lakebed.stores.journal.kafka.topic import Topic
from lakebed.vocabulary.errors import JournalFailed, StoreUnavailable

_TIMEOUT = 10.0  # seconds without a record before the cluster counts as away
_SLICE = 0.5  # seconds
_IDLE = 4  # idle readers kept for later use
_QUICK = {
    "fetch.wait.max.ms": 10,  # a fetch that waits delays that of the next partition
    "queued.max.messages.kbytes": 4 * 2**10,
}


class Readers:
    """A pool of readers of one topic; one thread at a time uses a reader. Thread-safe."""

    def __init__(self, config: Mapping[str, Any], topic: Topic) -> None:
        self._config, self._topic = config, topic
        self._idle: list[_Reader] = []
        self._lock = threading.Lock()
        self._closed = False

    def records(self, partition: int, start: int, end: int) -> Iterator[tuple[int, Message]]:
        """Yield the records from `start` to below `end`, each with its number.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        base = self._topic.base
        if start < end:
            with self._lent() as reader:
                for record, message in reader.records(partition, start - base, end - base):
                    yield base + record, message

    def renew(self) -> None:
        """Close the idle readers, because they may have read from a former topic."""
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.close()

    def close(self) -> None:
        self._closed = True
        self.renew()

    @contextmanager
    def _lent(self) -> Iterator["_Reader"]:
        reader = self._take()
        try:
            yield reader
        finally:
            reader.rest()
            with self._lock:
                keep = not self._closed and len(self._idle) < _IDLE
                if keep:
                    self._idle.append(reader)
            if not keep:
                reader.close()

    def _take(self) -> "_Reader":
        with self._lock:
            if self._closed:
                raise JournalFailed("the journal is closed")
            if self._idle:
                return self._idle.pop()
        with errors.translated("opening a reader"):
            return _Reader(Consumer({**self._config, **_QUICK}), self._topic.name)


class _Reader:
    def __init__(self, consumer: Consumer, topic: str) -> None:
        self._consumer, self._topic = consumer, topic

    def records(self, partition: int, start: int, end: int) -> Iterator[tuple[int, Message]]:
        with errors.translated("seeking"):
            self._consumer.assign([TopicPartition(self._topic, partition, start)])
        deadline = time.monotonic() + _TIMEOUT
        while start < end:
            found = self._consumer.poll(_SLICE)
            if found is None:
                if time.monotonic() > deadline:
                    raise StoreUnavailable("the journal at Kafka cannot be read now")
                continue
            deadline = time.monotonic() + _TIMEOUT
            failure = found.error()
            if failure is not None:
                _check(failure)
                continue
            offset = found.offset()
            assert offset is not None
            if offset >= end:
                return
            start = offset + 1
            yield offset, found

    def rest(self) -> None:
        """Stop fetching until the next use."""
        self._consumer.unassign()

    def close(self) -> None:
        self._consumer.close()


def _check(error: KafkaError) -> None:
    if errors.is_hopeless(error):
        raise StoreUnavailable(f"the journal at Kafka cannot be read: {errors.text(error)}")
