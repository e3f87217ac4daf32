"""The Kafka cluster of a journal: its administrative client, and how long to wait for it."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lakebed.stores.journal.kafka import errors
from lakebed.stores.journal.kafka.address import Address

T = TypeVar("T")

TIMEOUT = 10.0
"""Seconds that the cluster may take to answer."""
_PAUSE = 0.1  # seconds between two tries
_MOVING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError._WAIT_COORD,
    KafkaError._NOENT,  # no leader is known
}


class Cluster:
    """The cluster's address and its administrative client. Thread-safe.

    Raises:
        SettingsError: the URL has a property that librdkafka does not accept.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        with errors.opening():
            self.admin = AdminClient(address.common())

    def retried(self, ask: Callable[[], T]) -> T:
        """Retry while leaders move, or while some brokers do not know a new topic yet."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return ask()
            except KafkaException as exception:
                error = errors.of(exception)
                passes = error.retriable() or error.code() in _MOVING
                if not passes or time.monotonic() > deadline:
                    raise
            time.sleep(_PAUSE)
            with suppress(KafkaException):
                self.admin.list_topics(timeout=TIMEOUT)  # else the old leaders are asked again
