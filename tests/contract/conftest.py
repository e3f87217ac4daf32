"""Servers that several contract suites share."""

import os
from collections.abc import Iterator

import pytest
from tests.servers import kafka, s3


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[kafka.KafkaServer]:
    """One broker for all tests of a process. Who stops it starts it again."""
    if missing := kafka.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing} is missing")
        pytest.skip(f"{missing} is missing")
    with kafka.running() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Server]:
    """One object store for all tests of a process. Who stops it starts it again."""
    with s3.running() as server:
        yield server
