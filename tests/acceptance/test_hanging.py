"""Kafka or PostgreSQL hang: connections stay, nothing is answered. Requests hear so within 5 s."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pytest

from tests.cluster import Cluster, Member, Victims, victims
from tests.server import eventually

T = TypeVar("T")

pytestmark = [
    pytest.mark.slow(60),
    pytest.mark.timeout(300),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]


@dataclass
class World:
    on: Victims
    cluster: Cluster
    api: Member


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with victims() as on:
        cluster = Cluster(tmp_path_factory.mktemp("hanging"), on)
        try:
            gateway, api = cluster.start("gateway", "api")
            gateway.send("a", "1")
            assert api.get("/api/v1/flow")["in_flight"] == 1
            yield World(on, cluster, api)
        finally:
            cluster.close()


@pytest.mark.parametrize(
    ("store", "paths"),
    [
        ("journal", ["/api/v1/flow", "/api/v1/topics", "/api/v1/journal"]),
        ("catalog", ["/api/v1/flow", "/api/v1/policies", "/api/v1/last?topic=a", "/readyz"]),
    ],
)
def test_who_asks_is_told_within_five_seconds_which_store_hangs(
    world: World, store: str, paths: list[str]
) -> None:
    server = {"journal": world.on.broker, "catalog": world.on.postgres}[store]
    server.pause()
    try:
        for path in paths:
            answer, seconds = timed(lambda: world.api.request("GET", path))  # noqa: B023
            assert (answer.status_code, seconds < 5) == (503, True), (path, seconds, answer.text)
            assert store in answer.text, path
    finally:
        server.resume()
    eventually(lambda: world.api.request("GET", "/api/v1/flow").status_code == 200, 60)
    eventually(lambda: world.api.request("GET", "/readyz").status_code == 200, 60)


def timed(ask: Callable[[], T]) -> tuple[T, float]:
    began = time.monotonic()
    return ask(), time.monotonic() - began


@pytest.mark.parametrize("store", ["journal", "catalog"])
def test_a_process_that_is_stopped_while_it_starts_waits_for_no_store(
    world: World, store: str
) -> None:
    server = {"journal": world.on.broker, "catalog": world.on.postgres}[store]
    server.pause()
    try:
        starting = world.cluster.member("keeper")
        starting.spawn()
        time.sleep(3)  # it is past its imports, and asks the store
        assert starting.exit_code is None, starting.output
        code, seconds = timed(starting.stop)
        assert (code, seconds < 12) == (0, True), (seconds, starting.output)
    finally:
        server.resume()
