"""`kafka: "kafka://HOST:9092/TOPIC", key: "{topic}"`: transactions, and what errors mean."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from lakebed.ports.relays import Delivery, Record, Refusal, Refused, TargetUnavailable
from lakebed.relays.targets import options as rules
from lakebed.relays.targets.kafka import configuration
from lakebed.relays.targets.showing import body_of, text_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind, reached
from lakebed.vocabulary.errors import Superseded
from lakebed.vocabulary.times import SECOND, to_rfc3339

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = frozenset(
    {KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG, KafkaError.INVALID_TIMESTAMP,
     KafkaError.TOPIC_EXCEPTION}
)  # fmt: skip
_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH,
     KafkaError.FENCED_INSTANCE_ID}
)  # fmt: skip
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})
_LEAST_BATCH = 4096  # bytes


class KafkaTarget:
    """Attributes:
    _at: the position that is committed, as far as this holder knows it; None before it has looked.
    """

    def __init__(self, options: Options, around: Surroundings) -> None:
        self._options, self._around = options, around
        self._servers, self._topic = configuration.place(str(options["kafka"]))
        self._key = str(options.get("key", "{topic}"))
        self._producer: Producer | None = None
        self._group: Any = None
        self._at: int | None = None
        self._batch = configuration.LARGEST_BATCH

    def position(self) -> int | None:
        self.close()  # a new producer fences off an earlier holder
        with self._working():
            self._open()
        return self._at

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        with self._working():
            if self._producer is None:
                self._open()
            if self._at is not None and self._at >= delivery.position.offset:
                return ()  # it was committed, and the answer got lost
            if refusals := self._transact(delivery):
                self.close()
                raise Refused(refusals)
            self._at = delivery.position.offset
        return ()

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaException):
                producer.purge()
                producer.flush(0)

    # --- transactions -----------------------------------------------------------------------------

    def _transact(self, delivery: Delivery) -> list[Refusal]:
        """Commit all records, or none; what the brokers refuse.

        A batch that is too large fails as a whole, so it is tried again with smaller ones, until
        each record that fails was alone in its batch.

        Raises:
            KafkaException: a record failed for another reason.
        """
        while failed := self._attempt(delivery):
            for error in failed.values():
                if error.code() not in _REFUSED | _TOO_LARGE:
                    raise KafkaException(error)
            sizes = {index: len(body_of(delivery.records[index])) for index in failed}
            if self._batch <= _LEAST_BATCH or all(
                error.code() in _REFUSED or sizes[index] >= self._batch
                for index, error in failed.items()
            ):
                return [
                    Refusal(index, f"Kafka: {_told(error)} ({sizes[index]} bytes)")
                    for index, error in sorted(failed.items())
                ]
            self._batch = max(_LEAST_BATCH, self._batch // 8)
            self.close()
            self._open()
        return []

    def _attempt(self, delivery: Delivery) -> dict[int, KafkaError]:
        """One transaction; the records that made it fail."""
        producer = self._live
        failed: dict[int, KafkaError] = {}
        producer.begin_transaction()
        for index, record in enumerate(delivery.records):
            self._produce(index, record, failed)
        producer.flush(self._left)
        if not failed:
            last = TopicPartition(self._topic_of(delivery.records[-1]), 0, delivery.position.offset)
            producer.send_offsets_to_transaction([last], self._group, self._left)
            producer.commit_transaction(self._left)
        # one that fails takes those behind it along; the next producer ends this transaction
        own = {at: error for at, error in failed.items() if error.code() not in _PURGED}
        return own or failed

    def _produce(self, index: int, record: Record, failed: dict[int, KafkaError]) -> None:
        headers = [("id", record.id), ("topic", record.topic), ("time", to_rfc3339(record.time))]
        if record.policy:
            headers.append(("policy", record.policy))
        key = rules.filled(self._key, partial(text_of, record))
        arguments: dict[str, Any] = {
            "topic": self._topic_of(record), "value": body_of(record), "key": key or None,
            "headers": headers, "on_delivery": partial(_note, failed, index),
        }  # fmt: skip
        if self._options.get("timestamp") == "event":
            arguments["timestamp"] = max(0, record.time // 1000)
        while True:
            try:
                self._live.produce(**arguments)
            except BufferError:
                self._live.poll(min(0.1, self._left))
            except KafkaException as exception:
                failed[index] = exception.args[0]
                return
            else:
                return

    def _topic_of(self, record: Record) -> str:
        filled = rules.filled(
            self._topic, lambda name: configuration.topic_name(text_of(record, name)) or "-"
        )
        return configuration.topic_name(filled)

    # --- connections ------------------------------------------------------------------------------

    def _open(self) -> None:
        """A producer for this lane, which ends the transactions of any other; and its position."""
        around, options = self._around, self._options
        for server in self._servers:
            reached(partial(around.egress.resolve, *server))
        common = configuration.common(options, around)
        admin = AdminClient(common)
        # the client connects to the brokers that the cluster names, so these are judged too
        for broker in admin.list_topics(timeout=self._left).brokers.values():
            reached(partial(around.egress.resolve, str(broker.host), broker.port))
        producer = Producer(configuration.producer(options, around, self._batch))
        producer.init_transactions(self._left)
        self._at = self._committed(admin)
        self._group = _group(common, configuration.lane_name(around))
        self._producer = producer

    def _committed(self, admin: AdminClient) -> int | None:
        """The position; under each topic that records went to."""
        name = configuration.lane_name(self._around)
        asked = admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], require_stable=True, request_timeout=self._left
        )
        found = asked[name].result(self._left).topic_partitions
        offsets = [one.offset for one in found or () if one.error is None and one.offset >= 0]
        return max(offsets, default=None)

    @property
    def _live(self) -> Producer:
        assert self._producer is not None
        return self._producer

    @property
    def _left(self) -> float:
        """Seconds until the call must have returned; at least a little."""
        return max(0.01, self._until - time.monotonic())

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One call; what fails closes the producer, and the next one looks what was committed."""
        self._until = time.monotonic() + self._around.timeout / SECOND
        try:
            yield
        except (TargetUnavailable, Superseded):
            self.close()
            raise
        except TimeoutError:
            self.close()
            raise TargetUnavailable("Kafka: no answer") from None
        except (KafkaException, SystemError) as exception:
            self.close()
            # the client raises a fatal error while it calls back, which Python reports by another
            found = exception.__cause__ if isinstance(exception, SystemError) else exception
            if not isinstance(found, KafkaException):
                raise
            error = found.args[0]
            if error.code() in _FENCED:
                raise Superseded(f"another process sends as lane {self._around.lane}") from None
            raise TargetUnavailable(f"Kafka: {_explained(error, self._options)}") from None


def _note(failed: dict[int, KafkaError], index: int, error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failed[index] = error


def _group(common: dict[str, Any], name: str) -> Any:
    """What a transaction must know of a group that has no members."""
    consumer = Consumer({**common, "group.id": name, "enable.auto.commit": False})
    try:
        return consumer.consumer_group_metadata()
    finally:
        consumer.close()


def _told(error: KafkaError) -> str:
    return str(error.str())[:300]


def _explained(error: KafkaError, options: Options) -> str:
    match error.code():
        case KafkaError._UNKNOWN_TOPIC | KafkaError.UNKNOWN_TOPIC_OR_PART:
            return "there is no such topic: create it"
        case KafkaError._TIMED_OUT | KafkaError._TRANSPORT | KafkaError._ALL_BROKERS_DOWN:
            return f"no broker answers ({error.name()})"
        case KafkaError._AUTHENTICATION | KafkaError.SASL_AUTHENTICATION_FAILED:
            return "user or password is wrong"
    return f"{_told(error)} ({error.name()})"


KIND = TargetKind(
    name="kafka",
    keys={
        "key": 'template of the key; "{topic}" if not given',
        "timestamp": "sent or event: the time of a record; sent if not given",
        "compression": "none, gzip, snappy, lz4 or zstd; lz4 if not given",
        "tls": "whether connections are encrypted",
        "ca": "secret with the PEM of the authority that the brokers' certificates are checked by",
        "sasl": "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        "user": "who signs in",
        "password": "secret with the password of `user`",
    },
    check=configuration.check,
    open=KafkaTarget,
    batch=5000,
    lanes=1,
    exact="once",
)
