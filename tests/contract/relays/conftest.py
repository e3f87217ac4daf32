"""Every kind of target, each with a real server."""

import secrets
from collections.abc import Iterator
from importlib import import_module

import pytest
from relay_place import Place
from tests.servers import kafka, unavailable

KINDS = ("http", "kafka", "postgres")


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[kafka.KafkaServer]:
    """A broker that is reached by one proxy at a time, which cuts and stalls."""
    if absent := kafka.missing():
        unavailable(absent)
    with kafka.running() as server:
        yield server


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with import_module(f"{request.param}_place").place(request) as found:
        found.relay = f"ann/out/{secrets.token_hex(4)}"
        yield found


@pytest.fixture(params=["kafka", "postgres"])
def exact(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Those that keep the position themselves."""
    with import_module(f"{request.param}_place").place(request) as found:
        found.relay = f"ann/out/{secrets.token_hex(4)}"
        yield found
