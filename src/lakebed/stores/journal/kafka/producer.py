"""The one thread that writes: hands records to librdkafka and waits until the brokers have them.

append ──> queue ──> thread: produce, poll ──> every record on all in-sync replicas ──> future

One append at a time is under way. What the brokers have not confirmed is sent again by librdkafka
itself, under the sequence numbers it had, so that it is stored once however often it is sent. That
is why nothing here ever gives up on a record: one given up may have been written all the same.
"""

import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lakebed.stores.journal.kafka import errors
from lakebed.vocabulary.errors import JournalFailed
from lakebed.vocabulary.times import Micros

log = structlog.get_logger(__name__)

_LOOK = 0.2  # seconds between two looks at whether to stop
_STOP = 2.0  # seconds a close waits for what is under way: the whole stop has ten


class Sending:
    """Some records of one topic on their way.

    Attributes:
        done: resolved when the brokers have all of them; or `JournalFailed`.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], at: Micros) -> None:
        self.rows = rows
        self.at = at
        self.left = len(rows)
        self.done: Future[None] = Future()


class Sender:
    """Attributes:
    failure: set once nothing can be made durable any more.
    away: what librdkafka says while no broker answers; empty when all is well.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.failure: JournalFailed | None = None
        self.away = ""
        self._jobs: queue.SimpleQueue[Sending | None] = queue.SimpleQueue()
        self._closing = False
        with errors.opening():
            self._producer = Producer({**config, "error_cb": self._on_error})
        self._thread = threading.Thread(target=self._run, name="journal-kafka", daemon=True)
        self._thread.start()

    def send(self, rows: Sequence[dict[str, Any]], at: Micros) -> Sending:
        """Rows are keyword arguments of `Producer.produce`. Any thread; in the order of the calls.

        Args:
            at: when, for the records' timestamps.
        """
        sending = Sending(rows, at)
        if self._closing:
            sending.done.set_exception(JournalFailed("the journal is closed"))
        else:
            self._jobs.put(sending)
        return sending

    def close(self) -> None:
        """Finish what is under way, but not for long: it was not acknowledged to anybody."""
        self._closing = True
        self._jobs.put(None)
        self._thread.join()

    # --- on the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                sending = self._jobs.get(timeout=_LOOK)
            except queue.Empty:
                self._producer.poll(0)  # errors are told even while nothing is sent
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
            patience = _STOP
            while sending.left and self.failure is None and patience > 0:
                self._producer.poll(_LOOK)
                patience -= _LOOK if self._closing else 0
            if sending.left and self.failure is None:
                raise JournalFailed("the journal was closed before Kafka had answered")
            if self.failure is not None:
                raise JournalFailed(str(self.failure))
        except BaseException as error:
            sending.done.set_exception(error)
        else:
            self.away = ""
            sending.done.set_result(None)

    def _produce(self, sending: Sending, row: dict[str, Any]) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            sending.left -= 1
            if error is not None:
                self._fail(error)

        while self.failure is None:
            try:
                self._producer.produce(**row, timestamp=sending.at // 1000, on_delivery=delivered)
            except BufferError:
                self._producer.poll(_LOOK)
            except KafkaException as exception:
                self._fail(errors.of(exception))
            else:
                return

    def _fail(self, error: KafkaError) -> None:
        """A record will not be written, or nobody can tell whether it was: the first one counts."""
        if self.failure is None:
            self.failure = JournalFailed(f"writing to Kafka failed: {errors.text(error)}")

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fail(error)
        elif error.code() == KafkaError._ALL_BROKERS_DOWN:
            if not self.away:
                log.warning("no broker answers", error=errors.text(error))
            self.away = errors.text(error)
