"""The services of Lakebed in the compose file are run, by Docker's own compose over podman.

    compose.yaml + what differs here ──docker-compose──> podman's socket ──> gateway-1, gateway-2,
                                                                     keeper-1, keeper-2, api, emqx

Images of others cannot be pulled where this runs. So Kafka, PostgreSQL and ClickHouse are servers
of this machine, Mosquitto stands for EMQX, and Prometheus is Debian's; ports of this machine are
any that are free. All else is as the file says.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from paho.mqtt.publish import single

from tests.cluster import Cluster, Servers
from tests.deploy import engine
from tests.deploy.engine import Container
from tests.deploy.test_compose import FILE, FOLDER, ROLES, example
from tests.server import Api, eventually

pytestmark = [*engine.marks, pytest.mark.server("kafka"), pytest.mark.server("postgres")]
BROKER, WATCHER = "emqx", "prometheus"
GATEWAYS = [name for name, role in ROLES.items() if role == "gateway"]
_STORES = ("JOURNAL__URL", "CATALOG__URL", "SERIES__URL")


class Instead(list[Any]):
    """A list in place of the one in compose.yaml; others are added to it."""


yaml.SafeDumper.add_representer(
    Instead, lambda dumper, items: dumper.represent_sequence("!override", list(items))
)


class Compose:
    """One project.

    Args:
        socket: of an engine that speaks Docker's API.
        folder: takes what differs from compose.yaml.
        differs: that.
    """

    def __init__(self, socket: Path, folder: Path, name: str, differs: dict[str, Any]) -> None:
        program = shutil.which("docker-compose")
        if program is None:
            pytest.skip("docker-compose is missing: see deploy/README.md")
        override = folder / "override.yaml"
        override.write_text(yaml.safe_dump(differs))
        self.name = name
        self._environment = os.environ | {"DOCKER_HOST": f"unix://{socket}"}
        self._command = [
            program, "--project-name", name, "--env-file", FOLDER / "example.env",
            "--file", FILE, "--file", override,
        ]  # fmt: skip

    def __call__(self, *command: str) -> str:
        done = subprocess.run(
            [*self._command, *command], env=self._environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self, *services: str) -> None:
        """Start them and nothing that they depend on."""
        self("up", "--detach", "--no-deps", "--no-build", "--pull=never", *services)

    def container(self, service: str) -> Container:
        return Container.found(f"{self.name}-{service}-1")


@contextmanager
def docker_api() -> Iterator[Path]:
    """Podman's service, at its socket."""
    socket = engine.run_folder() / "docker.sock"
    service = subprocess.Popen(
        ["podman", "system", "service", "--time=0", f"unix://{socket}"],
        env=engine.environment(), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(socket.exists)
        yield socket
    finally:
        service.terminate()
        service.wait(30)
        socket.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def compose(on: Servers, network: engine.Network, place: Path) -> Iterator[Compose]:
    settings = Cluster(place, on).settings
    stores = {f"LAKEBED__{name}": settings[name] for name in _STORES}
    postgres = str(on.postgres.folder)
    role = {
        "image": engine.image("servers"),
        "environment": stores,
        "volumes": [f"{postgres}:{postgres}"],
    }
    services: dict[str, dict[str, Any]] = {name: dict(role) for name in ROLES}
    services[BROKER] = {"image": engine.built("broker")}
    services[WATCHER] = {"image": engine.built("prometheus")}
    for name, service in services.items():
        ports = yaml.safe_load(FILE.read_text())["services"][name].get("ports", [])
        # an address, a port of this machine, one of the container
        service["ports"] = Instead(re.sub(r":\d+:", "::", port) for port in ports)
    differs = {
        "services": services,
        "networks": {"default": {"name": network.name, "external": True}},
    }
    with docker_api() as socket:
        made = Compose(socket, place, network.name, differs)
        try:
            yield made
        finally:
            made("down", "--volumes", "--timeout=0")


@pytest.fixture(scope="module")
def running(compose: Compose, measured: list[str]) -> dict[str, Container]:
    compose.up(BROKER)
    broker = compose.container(BROKER)
    begun = time.monotonic()
    compose.up(*ROLES)
    found = {name: compose.container(name) for name in ROLES}
    for container in found.values():
        container.wait_ready(f"http://{container.address}:8080/readyz")  # keepers publish none
    assert broker.inspect()["State"]["Running"], broker.log
    gateways = [found[name] for name in GATEWAYS]
    eventually(lambda: all(part(each, f"source {BROKER}")["joined"] for each in gateways), 60)
    measured.append(f"compose: five services ready after {time.monotonic() - begun:.1f} s")
    return found


def part(container: Container, name: str) -> dict[str, Any]:
    """What a process says of one of its parts."""
    found: dict[str, Any] = asked(container).get("/readyz")["parts"][name]
    return found


def asked(container: Container) -> Api:
    return Api(f"http://{container.published(8080)}", example()["ADMIN_TOKEN"])


def publish(to: Container, topic: str, payload: bytes, login: Any = None) -> None:
    host, port = to.published(1883).split(":")
    single(topic, payload, qos=1, hostname=host, port=int(port), auth=login)


def test_messages_by_every_way_are_kept_once(
    running: dict[str, Container], compose: Compose
) -> None:
    api = asked(running["api"])
    policy = {"name": "p", "topics": ["compose/#"], "type": "number", "keep": "archive"}
    api.put_policies([policy])
    asked(running["gateway-1"]).send("compose/http", b"1")
    login: Any = {"username": "me", "password": example()["ADMIN_TOKEN"]}
    publish(running["gateway-2"], "compose/mqtt", b"2", login)
    publish(compose.container(BROKER), "compose/broker", b"3")

    def kept() -> dict[str, list[float]]:
        return {
            topic: [
                record["value"]
                for record in api.get("/api/v1/records", topic=f"compose/{topic}")["records"]
            ]
            for topic in ("http", "mqtt", "broker")
        }

    everything = {"http": [1], "mqtt": [2], "broker": [3]}
    eventually(lambda: kept() == everything, 60)
    api.settle()
    assert kept() == everything


def test_gateways_share_what_the_broker_has(
    running: dict[str, Container], compose: Compose
) -> None:
    broker = compose.container(BROKER)

    def accepted() -> list[int]:
        return [part(running[name], "intake")["accepted"] for name in GATEWAYS]

    before = accepted()
    for number in range(20):
        publish(broker, f"compose/shared/{number}", b"1")
    eventually(lambda: sum(accepted()) == sum(before) + 20, 60)
    assert all(now > then for now, then in zip(accepted(), before, strict=True))


def test_prometheus_finds_and_asks_every_process(
    running: dict[str, Container], compose: Compose
) -> None:
    compose.up(WATCHER)
    watcher = compose.container(WATCHER)
    prometheus = Api(f"http://{watcher.published(9090)}/api/v1", "none")
    wanted = {(role, f"{running[name].address}:8080", "up") for name, role in ROLES.items()}

    def asked_all() -> bool:
        try:
            targets = prometheus.get("/targets")["data"]["activeTargets"]
        except httpx.HTTPError:  # it starts
            return False
        return wanted == {
            (each["labels"]["role"], each["labels"]["instance"], each["health"]) for each in targets
        }

    eventually(asked_all, 90)
    (flight,) = prometheus.get("/query", query="max(lakebed_in_flight)")["data"]["result"]
    assert float(flight["value"][1]) >= 0
    groups = prometheus.get("/rules")["data"]["groups"]
    assert {group["name"] for group in groups} == {"lakebed", "disks"}


@pytest.mark.parametrize("name", ROLES)
def test_a_service_is_healthy_and_contained(running: dict[str, Container], name: str) -> None:
    assert running[name].is_healthy()
    # behind Docker's API podman adds the last one to what is read-only
    running[name].assert_contained("/var/lib/lakebed", "/tmp", "/var/tmp")


def test_services_end_by_themselves_when_they_are_told(
    running: dict[str, Container], compose: Compose
) -> None:
    compose("stop", *ROLES)
    for name, container in running.items():
        assert container.inspect()["State"]["ExitCode"] == 0, f"{name}: {container.log}"
