"""Servers that several contract suites share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.servers import kafka, s3

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient
    from tests.kafka_journals import Open


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[kafka.KafkaAddress]:
    """The broker of the whole run. A module that harms it has one of its own by this name."""
    with kafka.found() as at:
        yield at


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    """One object store for all tests of a process. Who stops it starts it again."""
    with s3.running() as server:
        yield server


@pytest.fixture
def open_journal(kafka_server: kafka.KafkaAddress) -> Iterator["Open"]:
    """Opens journals on one topic of the test; several are several processes to Kafka."""
    from lakebed.stores.journal.kafka.journal import KafkaJournal

    topic = kafka.new_topic("faults")
    opened: list[KafkaJournal] = []

    def open(query: str = "partitions=3") -> KafkaJournal:
        opened.append(KafkaJournal(f"kafka://{kafka_server.address}/{topic}?{query}"))
        return opened[-1]

    yield open
    for journal in opened:
        journal.close()


@pytest.fixture
def admin(kafka_server: kafka.KafkaAddress) -> "AdminClient":
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": kafka_server.address})
