"""The member of a group of Kafka, on a thread of its own; the one file here that speaks Kafka.

    join ──> assigned: from the committed offset on ──> poll ──> records ──> commit ──┐
                                                         ^────────────────────────────┘

Nothing is polled before the records before it are durable and committed, so when partitions are
revoked, which happens in a poll, nothing of them is under way.
"""

import time
from collections.abc import Sequence
from typing import Any

import structlog
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from lakebed.sources.kafka.settings import KafkaSource
from lakebed.sources.pulling import secret
from lakebed.vocabulary.errors import Unavailable

log = structlog.get_logger(__name__)

_MOST = 1000  # records of one poll
_WAIT = 0.5  # seconds of one poll
_ANSWER = 10.0  # seconds for a question
_THERE = 3.0  # and for whether it is there
_PROBE_EVERY = 10.0  # seconds without records after which the broker is asked whether it is there
_HOLD = 600_000  # milliseconds that records may take to become durable


class Group:
    """One thread at a time.

    Attributes:
        lost: records that were deleted at Kafka before they were read.
        partitions: those that this member has.
    """

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        self._consumer: Consumer | None = None
        self._positions: dict[tuple[str, int], int] = {}
        self._uncommitted: set[tuple[str, int]] = set()
        self._heard = 0.0
        self._error = ""
        self.lost = 0

    @property
    def partitions(self) -> int:
        return len(self._positions)

    def lag(self) -> int:
        """Records that wait in the partitions of this member, as the last answers told."""
        consumer = self._consumer
        if consumer is None:
            return 0
        behind = 0
        for (topic, partition), position in list(self._positions.items()):
            at = TopicPartition(topic, partition)
            found: tuple[int, int] | None = consumer.get_watermark_offsets(at, cached=True)
            if found is not None:
                behind += max(0, found[1] - max(position, 0))
        return behind

    def poll(self) -> list[Message]:
        """The next records; none after a while.

        Raises:
            Unavailable: Kafka does not answer, or refuses.
        """
        try:
            consumer = self._joined()
            found = consumer.consume(_MOST, _WAIT)
            records = [one for one in found if not self._is_error(one)]
            if records:
                self._heard, self._error = time.monotonic(), ""
            elif self._error or time.monotonic() > self._heard + _PROBE_EVERY:
                self._probe(consumer)
        except KafkaException as exception:
            raise Unavailable(_text(exception.args[0])) from None
        return records

    def commit(self, records: Sequence[Message]) -> None:
        """Write down that these are durable. Raises Unavailable."""
        assert self._consumer is not None
        for one in records:
            self._positions[one.topic() or "", one.partition() or 0] = (one.offset() or 0) + 1
            self._uncommitted.add((one.topic() or "", one.partition() or 0))
        offsets = [TopicPartition(*place, self._positions[place]) for place in self._uncommitted]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as exception:
            raise Unavailable(f"committing: {_text(exception.args[0])}") from None
        self._uncommitted.clear()

    def close(self) -> None:
        """Leave the group. The next poll joins again, and begins where it has committed."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close()
            self._positions.clear()
            self._uncommitted.clear()

    # --- joining ----------------------------------------------------------------------------------

    def _joined(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(_properties(self._source, self._on_error))
            self._consumer.subscribe(
                self._source.topics,
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_revoke,
            )
        return self._consumer

    def _on_error(self, error: KafkaError) -> None:
        self._error = _text(error)

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.code() != KafkaError._PARTITION_EOF:
            self._error = _text(error)
        return True

    def _probe(self, consumer: Consumer) -> None:
        found = consumer.list_topics(timeout=_THERE).topics
        self._heard = time.monotonic()
        missing = [
            one for one in self._source.topics
            if not one.startswith("^") and (one not in found or found[one].error is not None)
        ]  # fmt: skip
        self._error = ""
        if missing:
            raise Unavailable(f"there is no topic {missing[0]}, or it may not be read")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group is; where that was deleted, at what is left, and say so."""
        try:
            known = consumer.committed(partitions, timeout=_ANSWER)
        except KafkaException as exception:
            self._error = _text(exception.args[0])
            known = partitions
        begin = OFFSET_BEGINNING if self._source.start == "earliest" else OFFSET_END
        for one in known:
            if one.offset < 0:
                one.offset = begin
            else:
                self._check_kept(consumer, one)
            self._positions[one.topic, one.partition] = one.offset
        consumer.incremental_assign(known)
        log.info("reads partitions of Kafka", source=self._source.name,
                 partitions=len(self._positions))  # fmt: skip

    def _check_kept(self, consumer: Consumer, at: TopicPartition) -> None:
        try:
            found: tuple[int, int] | None = consumer.get_watermark_offsets(at, timeout=_ANSWER)
        except KafkaException:
            found = None
        if found is None:
            return  # it begins there as soon as Kafka answers
        low, high = found
        if low <= at.offset <= high:
            return
        gone = max(0, low - at.offset)
        self.lost += gone
        log.error("records were deleted at Kafka before they were read", source=self._source.name,
                  topic=at.topic, partition=at.partition, lost=gone)  # fmt: skip
        at.offset = low

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._positions.pop((one.topic, one.partition), None)
            self._uncommitted.discard((one.topic, one.partition))


def _properties(source: KafkaSource, on_error: Any) -> dict[str, Any]:
    """librdkafka's. Raises Unavailable: the secret cannot be read."""
    found: dict[str, Any] = {
        "bootstrap.servers": source.servers,
        "group.id": source.group_name,
        "client.id": f"lakebed-{source.name}",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": source.start,
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": source.session_timeout // 1000,
        "max.poll.interval.ms": max(_HOLD, source.session_timeout // 1000),
        "allow.auto.create.topics": False,
        "isolation.level": "read_committed",
        "reconnect.backoff.max.ms": 2000,
        "fetch.max.bytes": 16 * 2**20,
        "queued.max.messages.kbytes": 32 * 2**10,
        "security.protocol": source.security,
        "log_level": 2,
        "error_cb": on_error,
    }
    if source.security.startswith("sasl"):
        found["sasl.mechanisms"] = source.mechanism
        found["sasl.username"] = source.user
        found["sasl.password"] = secret.read(source.secret_file, source.secret_env)
    files = {
        "ssl.ca.location": source.ca_file,
        "ssl.certificate.location": source.certificate,
        "ssl.key.location": source.certificate_key,
    }
    return found | {name: str(file) for name, file in files.items() if file is not None}


def _text(error: KafkaError) -> str:
    return f"{error.str()} ({error.name()})"
