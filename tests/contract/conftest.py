"""Servers that several contract suites share."""

import os
from collections.abc import Iterator

import pytest
from tests.servers import kafka


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[kafka.KafkaServer]:
    """One broker for all tests of a process. Who stops it starts it again."""
    if missing := kafka.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing} is missing")
        pytest.skip(f"{missing} is missing")
    with kafka.running() as server:
        yield server
