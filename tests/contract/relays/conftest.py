"""Every kind of target, each with a real server."""

import secrets
from collections.abc import Iterator
from importlib import import_module

import pytest
from relay_place import Place
from tests.broker import Mosquitto
from tests.server import Server
from tests.servers import kafka, unavailable
from tests.servers.prometheus import Prometheus, scraping

KINDS = ("http", "influx", "kafka", "lakebed", "mqtt", "postgres", "prometheus")


@pytest.fixture(scope="session")
def own_kafka() -> Iterator[kafka.KafkaServer]:
    """A broker that is reached by one proxy at a time, which cuts and stalls."""
    if absent := kafka.missing():
        unavailable(absent)
    with kafka.running() as server:
        yield server


@pytest.fixture(scope="session")
def own_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    folder = tmp_path_factory.mktemp("mosquitto")
    with Mosquitto(folder, "max_packet_size 200000\n") as broker:
        yield broker


@pytest.fixture(scope="session")
def own_prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus") / "home"
    with scraping({}, folder, ["--web.enable-remote-write-receiver"]) as server:
        yield server


@pytest.fixture(scope="session")
def other_lakebed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another Lakebed, which keeps everything."""
    with Server(tmp_path_factory.mktemp("other")) as server:
        server.put_policy(name="all", topics=["#"], keep="archive", type="text")
        server.wait_in_force()
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
