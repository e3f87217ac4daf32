"""Sends records on a thread of its own, and waits until all in-sync replicas have them.

append ──> queue ──> thread: produce, poll ──> every record on all in-sync replicas ──> future

One append at a time is under way. librdkafka sends a record that was not confirmed again under the
same sequence number, so it is stored once however often it is sent. This is why no record times
out: one that was given up may have been written all the same.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lakebed.stores.journal.kafka import errors
from lakebed.vocabulary.errors import JournalFailed, JournalFull
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

Durable = Callable[[int, int, Mapping[str, int]], None]
_GONE = {
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.UNKNOWN_TOPIC_ID,
}
_TIMEOUT = 10.0  # seconds for an answer
_LOOK = 0.2  # seconds until a stop is noticed
_STOP = 2.0  # seconds that a close waits for the append under way; the whole stop has ten


class Sending:
    """Records that were handed over to be sent.

    Attributes:
        rows: see `Sender.send`.
        at: the records' timestamps.
        left: records that the brokers have not confirmed yet.
        gone: rows whose topic was gone, or whose partition was not known yet.
        again: what to send again if some are: all of it where the topic was gone.
        done: resolved when the brokers have all of them, or fails with `JournalFailed`, or with
            `JournalFull` where the topic is gone: send them again.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], at: Micros) -> None:
        self.rows = rows
        self.at = at
        self.left = len(rows)
        self.gone: list[dict[str, Any]] = []
        self.again: Sequence[dict[str, Any]] = ()
        self.done: Future[None] = Future()


class Sender:
    """Sends records in the order of the calls.

    Args:
        durable: called with each record of messages that the brokers have: its partition, Kafka's
            offset, and how many messages of each owner are in it.

    Attributes:
        failure: set once nothing can be made durable any more.
        away: the text of librdkafka's error while no broker answers; else empty.
    """

    def __init__(self, config: Mapping[str, Any], durable: Durable | None = None) -> None:
        self._durable = durable
        self.failure: JournalFailed | None = None
        self.away = ""
        self._jobs: queue.SimpleQueue[Sending | None] = queue.SimpleQueue()
        self._closing = False
        with errors.opening():
            self._producer = Producer({**config, "error_cb": self._on_error})
        self._thread = threading.Thread(target=self._run, name="journal-kafka", daemon=True)
        self._thread.start()

    def send(self, rows: Sequence[dict[str, Any]], at: Micros) -> Sending:
        """Queue rows to be sent. Thread-safe.

        Args:
            rows: keyword arguments of `Producer.produce`, and `owners` of records of messages.
            at: the records' timestamps.
        """
        sending = Sending(rows, at)
        if self._closing:
            sending.done.set_exception(JournalFailed("the journal is closed"))
        else:
            self._jobs.put(sending)
        return sending

    def refresh(self, topic: str) -> None:
        """Ask for the partitions that a topic has now. Thread-safe.

        Raises:
            StoreUnavailable: Kafka does not answer.
        """
        with errors.translated("asking for its partitions"):
            self._producer.list_topics(topic, timeout=_TIMEOUT)

    def close(self) -> None:
        """Wait up to `_STOP` seconds for the sending under way; its messages have no ack yet."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join()

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                sending = self._jobs.get(timeout=_LOOK)
            except queue.Empty:
                self._producer.poll(0)  # calls `_on_error` also while nothing is sent
                continue
            if sending is None:
                break
            self._perform(sending)
        self._producer.purge()
        self._producer.flush(1.0)

    def _perform(self, sending: Sending) -> None:
        try:
            for row in sending.rows:
                self._produce(sending, row)
            timeout = _STOP
            while sending.left and self.failure is None and timeout > 0:
                self._producer.poll(_LOOK)
                timeout -= _LOOK if self._closing else 0
            if sending.left and self.failure is None:
                raise JournalFailed("the journal was closed before Kafka had answered")
            if self.failure is not None:
                raise JournalFailed(str(self.failure))
            if sending.gone:
                raise JournalFull("the topic is gone from Kafka")
        except BaseException as error:
            sending.done.set_exception(error)
        else:
            self.away = ""
            sending.done.set_result(None)

    def _produce(self, sending: Sending, row: dict[str, Any]) -> None:
        owners = row.get("owners")
        arguments = {name: value for name, value in row.items() if name != "owners"}

        def delivered(error: KafkaError | None, message: Message) -> None:
            sending.left -= 1
            if error is not None:
                self._refused(sending, row, error)
            elif owners and self._durable is not None:
                offset = message.offset()
                assert offset is not None
                self._durable(row["partition"], offset, owners)

        while self.failure is None:
            try:
                self._producer.produce(
                    **arguments, timestamp=sending.at // 1000, on_delivery=delivered
                )
            except BufferError:
                self._producer.poll(_LOOK)
            except KafkaException as exception:
                sending.left -= 1
                self._refused(sending, row, errors.of(exception))
                return
            else:
                return

    def _refused(self, sending: Sending, row: dict[str, Any], error: KafkaError) -> None:
        """What was in a topic that is gone is gone: its records are sent again."""
        rows = sending.rows
        if error.code() in _GONE:
            sending.gone.append(row)
            unknown = error.code() == KafkaError._UNKNOWN_PARTITION and sending.again is not rows
            sending.again = sending.gone if unknown else rows
        else:
            self._fail(error)

    def _fail(self, error: KafkaError) -> None:
        """Set `failure`, once: a record is not written, or it is unknown whether it is."""
        if self.failure is None:
            self.failure = JournalFailed(f"writing to Kafka failed: {errors.text(error)}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fail(error)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if not self.away:
                log.warning("no broker answers", error=errors.text(error))
            self.away = errors.text(error)
