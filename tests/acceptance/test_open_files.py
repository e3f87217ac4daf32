"""A server that may open few files refuses devices in time, and tells of each."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.acceptance.test_backup import lakebed
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(8), pytest.mark.timeout(120)]


class Limited(Server):
    """May open 512 files, for good."""

    def spawn(self) -> None:
        self.home.mkdir()
        command = (
            f"ulimit -n 512; exec {sys.executable} -m {processes.COMMAND} up --home {self.home}"
            f" --http 127.0.0.1:{self.http_port} --mqtt 127.0.0.1:{self.mqtt_port}"
        )
        with (self.home / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                ["sh", "-c", command], stdout=output, stderr=output,
                env=processes.clean() | self.environment, text=True,
            )  # fmt: skip


def test_a_flood_of_devices_is_counted_to_the_last_and_the_stores_go_on(tmp_path: Path) -> None:
    devices: list[socket.socket] = []
    with Limited(tmp_path / "home") as server:
        server.put_policy(name="all", topics=["#"], type="number", keep="archive")
        for _ in range(800):  # all at once
            device = socket.socket()
            device.setblocking(False)
            device.connect_ex(("127.0.0.1", server.mqtt_port))
            devices.append(device)

        def told() -> dict[str, int]:
            part: dict[str, int] = server.get("/readyz")["parts"]["connections"]
            assert part["open"] + part["refused"] == len(devices)
            return part

        part = eventually(told)
        assert part["files"] == 512
        assert part["open"] < 384
        server.send("plant/1", "1")  # HTTP and the stores have some left
        eventually(lambda: len(server.records("plant/1", "all")) == 1)
        metrics = server.request("GET", "/metrics").text
        assert f"lakebed_connections_refused_total {part['refused']}.0" in metrics
        doctor = lakebed("doctor", "--home", str(server.home), fails=None)
        assert "mqtt.max_connections is 20000" in doctor
        assert 1 <= server.output.count("connections are refused") <= 3
        for device in devices:
            device.close()
