"""Servers that several contract suites share."""

from collections.abc import Iterator

import pytest
from tests.servers import kafka, s3


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
