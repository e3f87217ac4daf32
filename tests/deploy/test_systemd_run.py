"""The units are run by systemd, on a machine that is a container.

    deploy/systemd/*.service ──> systemd, the first process of a container ──> lakebed up
    /opt/lakebed, as the image has it ──┘                                 └──> gateway, keeper, api

The container has all rights, for systemd takes them away again, as on a machine. What a unit
forbids is in force: its user, its view of the file system, its system calls, its memory.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from paho.mqtt.publish import single

from tests.cluster import Cluster, Servers
from tests.deploy import engine
from tests.deploy.engine import Container
from tests.deploy.test_systemd import FOLDER
from tests.server import Api, eventually

pytestmark = [*engine.marks, pytest.mark.server("kafka"), pytest.mark.server("postgres")]
ROLES = {"gateway": 8081, "keeper": 8082, "api": 8080}
"""Ports as the guide has them."""

_SOCKET = "/srv/postgresql"
_DISK = "/mnt/backups/lakebed"
_UNITS = "/etc/systemd/system"


class Machine(Container):
    """Debian with systemd, and Lakebed in /opt."""

    def __init__(self, network: engine.Network, postgres: Path) -> None:
        program = engine.podman("image", "mount", engine.image("all"))
        options = [
            "--privileged", "--systemd=always", f"--network={network.name}",
            f"--volume={program}/opt/lakebed:/opt/lakebed:ro", f"--volume={postgres}:{_SOCKET}",
        ]  # fmt: skip
        super().__init__(engine.built("machine"), options, [])
        eventually(lambda: self.run("systemctl", "is-system-running").stdout == "running\n", 60)

    def install(self, unit: str) -> None:
        self.put(f"{_UNITS}/{unit}", (FOLDER / unit).read_text())
        self.ask("systemctl", "daemon-reload")

    def start(self, unit: str, port: int) -> float:
        """Start a unit and wait until it is ready; returns the seconds that this took."""
        begun = time.monotonic()
        self.ask("systemctl", "start", unit)
        url = f"http://{self.address}:{port}"
        try:
            eventually(lambda: _is_ready(url), engine.START)
        except AssertionError:
            raise AssertionError(self.ask("journalctl", "--output=cat", "--unit", unit)) from None
        return time.monotonic() - begun

    def show(self, unit: str, what: str) -> str:
        """A property of a unit."""
        return self.ask("systemctl", "show", "--value", f"--property={what}", unit)

    def assert_confined(self, unit: str, home: str) -> None:
        """Its process is somebody made for it, has no rights, and sees little."""
        pid = self.show(unit, "MainPID")
        said, options = self.status(pid), self.mounts(pid)
        (user,) = set(said["Uid"].split())
        assert 61184 <= int(user) <= 65519  # of those that systemd makes
        assert {said[f"Cap{of}"] for of in ("Eff", "Prm", "Bnd")} == {"0" * 16}
        assert (said["NoNewPrivs"], said["Seccomp"]) == ("1", "2")
        assert options["/"].startswith("ro,")
        assert options[home].startswith("rw,")

    def stop(self) -> int:
        raise NotImplementedError("a machine is removed")

    def end(self, unit: str) -> None:
        """SIGTERM by systemd; it must end by itself, with success."""
        pid = self.show(unit, "MainPID")
        self.ask("systemctl", "stop", unit)
        assert self.show(unit, "Result") == "success"
        said = self.ask("journalctl", "--unit", unit, "--output=cat", f"_PID={pid}")
        assert "Traceback" not in said, said


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def machine(on: Servers, network: engine.Network) -> Iterator[Machine]:
    made = Machine(network, on.postgres.folder)
    try:
        yield made
    finally:
        made.remove()


def values(api: Api, topic: str) -> list[Any]:
    found = api.get("/api/v1/records", topic=topic)["records"]
    return [record["value"] for record in found]


def test_everything_on_one_machine_as_a_service(machine: Machine, measured: list[str]) -> None:
    unit, home = "lakebed.service", "/var/lib/lakebed"
    machine.install(unit)
    machine.put(
        "/etc/lakebed/environment",
        "LAKEBED__HTTP__LISTEN=0.0.0.0:8080\nLAKEBED__MQTT__LISTEN=0.0.0.0:1883\n",
        mode=0o600,
    )
    took = machine.start(unit, 8080)
    measured.append(f"{unit}: ready after {took:.1f} s")
    api = Api(f"http://{machine.address}:8080", machine.ask("cat", f"{home}/admin.token"))
    api.put_policies([{"name": "all", "topics": ["a/#"], "type": "number", "keep": "archive"}])
    login: Any = {"username": "me", "password": api.token}
    single("a/mqtt", b"1", qos=1, hostname=machine.address, auth=login)
    api.send("a/http", b"2")
    eventually(lambda: (values(api, "a/mqtt"), values(api, "a/http")) == ([1], [2]), 60)
    machine.assert_confined(unit, f"/var/lib/private/{Path(home).name}")

    _back_up(machine)
    machine.ask("systemctl", "kill", "--signal=KILL", unit)  # as a fault that ends it
    eventually(lambda: machine.show(unit, "NRestarts") == "1", 60)
    eventually(lambda: _is_ready(api.url), engine.START)
    assert values(api, "a/http") == [2]
    machine.end(unit)
    _back_up_to_another_disk(machine, unit)


def _back_up(machine: Machine) -> None:
    """The timer's service writes where both units allow it, and nowhere else."""
    machine.install("lakebed-backup.service")
    machine.install("lakebed-backup.timer")
    machine.ask("systemctl", "start", "lakebed-backup.timer")
    machine.ask("systemctl", "start", "lakebed-backup.service")
    kept = "/var/lib/lakebed-backups"
    assert len(machine.ask("ls", f"{kept}/manifests").split()) == 1
    modes = machine.ask("find", f"{kept}/", "-perm", "/077", "-print").split()
    assert modes == []
    machine.put("/etc/lakebed/backup", f"LAKEBED_BACKUP_TO={_DISK}\n")
    assert machine.run("systemctl", "start", "lakebed-backup.service").returncode != 0


def _back_up_to_another_disk(machine: Machine, unit: str) -> None:
    """As the guide has it: a user that stays, and a drop-in of both units."""
    machine.put("/etc/sysusers.d/lakebed.conf", "u lakebed -\n")
    machine.ask("systemd-sysusers")
    machine.ask("install", "-d", "-o", "lakebed", "-g", "lakebed", "-m", "700", _DISK)
    for service in (unit, "lakebed-backup.service"):
        drop_in = f"[Service]\nReadWritePaths={_DISK}\n"
        machine.put(f"{_UNITS}/{service}.d/backups.conf", drop_in)
    machine.ask("systemctl", "daemon-reload")
    machine.start(unit, 8080)
    machine.ask("systemctl", "start", "lakebed-backup.service")
    assert len(machine.ask("ls", f"{_DISK}/manifests").split()) == 1
    machine.end(unit)


def test_a_machine_with_one_process_of_each_role(
    machine: Machine, on: Servers, place: Path, measured: list[str]
) -> None:
    settings = Cluster(place, on).settings
    settings["CATALOG__URL"] = settings["CATALOG__URL"].replace(
        quote(str(on.postgres.folder)), quote(_SOCKET)
    )
    machine.install("lakebed@.service")
    machine.put("/etc/lakebed/lakebed.toml", (FOLDER / "lakebed.toml").read_text())
    machine.put(
        "/etc/lakebed/environment",
        "".join(f"LAKEBED__{name}={_escaped(value)}\n" for name, value in settings.items()),
        mode=0o600,
    )
    for role, port in ROLES.items():
        listen = f"LAKEBED__HTTP__LISTEN=0.0.0.0:{port}\n"
        machine.put(f"/etc/lakebed/environment-{role}", listen, mode=0o600)
    for role, port in ROLES.items():
        took = machine.start(f"lakebed@{role}.service", port)
        measured.append(f"lakebed@{role}.service: ready after {took:.1f} s")
    token = settings["API__ADMIN_TOKEN"]
    api = Api(f"http://{machine.address}:{ROLES['api']}", token)
    gateway = Api(f"http://{machine.address}:{ROLES['gateway']}", token)
    api.put_policies([{"name": "p", "topics": ["unit/#"], "type": "number", "keep": "archive"}])
    gateway.send("unit/http", b"5")
    login: Any = {"username": "me", "password": token}
    single("unit/mqtt", b"6", qos=1, hostname=machine.address, auth=login)
    eventually(lambda: (values(api, "unit/mqtt"), values(api, "unit/http")) == ([6], [5]), 60)
    for role in ROLES:
        machine.assert_confined(f"lakebed@{role}.service", f"/var/lib/private/lakebed-{role}")
        machine.end(f"lakebed@{role}.service")


def _escaped(value: str) -> str:
    """For a file that systemd reads: it takes a backslash, and quotes, for its own."""
    assert not set(value) & set("\\'\"")
    return value
