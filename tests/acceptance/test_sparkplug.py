"""A real edge node at a real broker: its metrics are messages, its death is told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests import processes
from tests.broker import Mosquitto
from tests.clients import building
from tests.server import Server, eventually

pytestmark = [pytest.mark.slow(20), pytest.mark.server("mosquitto"), pytest.mark.timeout(300)]

CONFIG = """\
[[sources]]
name = "floor"
url = "mqtt://127.0.0.1:{port}"
topics = ["spBv1.0/#"]
sparkplug = true
"""
ONLINE = ["plant/press/$online", "plant/press/motor/$online"]


@contextmanager
def edge_node(port: int, *token: str) -> Iterator["subprocess.Popen[str]"]:
    packages = building.python("sparkplug")
    program = Path(building.__file__).parent / "sparkplug" / "node.py"
    environment = processes.clean() | {"PYTHONPATH": str(packages)}
    running = subprocess.Popen(
        [sys.executable, str(program), str(port), *token],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        yield running
    finally:
        running.kill()
        running.wait()
        for pipe in (running.stdin, running.stdout):
            assert pipe is not None
            pipe.close()


def ask(node: "subprocess.Popen[str]", *lines: str) -> None:
    assert node.stdin is not None
    node.stdin.write("".join(f"{line}\n" for line in lines))
    node.stdin.flush()


def keep(server: Server) -> None:
    numbers = {"name": "numbers", "topics": ["plant/press/Inlet/#", "plant/press/+/speed"],
               "keep": "window", "for": "1h", "type": "number", "buffer": "0s"}  # fmt: skip
    online = {"name": "online", "topics": ["plant/+/$online", "plant/+/+/$online"],
              "keep": "archive", "type": "text", "buffer": "0s"}  # fmt: skip
    server.put_policies([numbers, online])


def values_of(server: Server, topic: str, policy: str = "numbers") -> list[object]:
    return [record["value"] for record in server.records(topic, policy)]


def test_a_node_its_device_and_their_deaths(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Mosquitto(tmp_path / "broker") as broker:
        (home / "lakebed.toml").write_text(CONFIG.format(port=broker.port))
        with Server(home) as server:
            keep(server)
            eventually(lambda: server.get("/readyz")["parts"]["source floor"]["joined"])

            values = partial(values_of, server)
            with edge_node(broker.port) as node:
                eventually(lambda: values("plant/press/motor/speed") == [-5])
                ask(node, "node 21.5", "node 0.1", "device 7")
                eventually(lambda: values("plant/press/Inlet/Temperature") == [20.5, 21.5, 0.1])
                eventually(lambda: values("plant/press/motor/speed") == [-5, 7])
                assert [values(topic, "online") for topic in ONLINE] == [["true"]] * 2
                server.stop()
                server.start()  # what the node was born with is still known
                eventually(lambda: server.get("/readyz")["parts"]["source floor"]["joined"])
                ask(node, "node 22.5")
                eventually(lambda: 22.5 in values("plant/press/Inlet/Temperature"))
                ask(node, "leave")
                eventually(lambda: values(ONLINE[1], "online") == ["true", "false"])
                os.kill(node.pid, 9)  # the broker sends its will
                eventually(lambda: values(ONLINE[0], "online") == ["true", "false"])
            figures = server.get("/readyz")["parts"]["source floor"]
            assert (figures["kept_raw"], figures["sparkplug_nodes"]) == (0, 0)
            text = server.request("GET", "/metrics").text
            assert 'lakebed_sparkplug_total{event="deaths",source="floor"} 2.0' in text


def test_a_node_at_the_endpoint_itself(tmp_path: Path) -> None:
    with Server(tmp_path / "home", {"MQTT__SPARKPLUG": "true"}) as server:
        keep(server)
        values = partial(values_of, server)
        with edge_node(server.mqtt_port, server.token) as node:
            eventually(lambda: values("plant/press/motor/speed") == [-5])
            ask(node, "device 7", "node 21.5")
            eventually(lambda: values("plant/press/Inlet/Temperature") == [20.5, 21.5])
            assert values("plant/press/motor/speed") == [-5, 7]
            os.kill(node.pid, 9)
            for topic in ONLINE:
                eventually(partial(lambda one: values(one, "online") == ["true", "false"], topic))
        figures = server.get("/readyz")["parts"]["sparkplug"]
        assert (figures["kept_raw"], figures["seq_gaps"]) == (0, 0)
        text = server.request("GET", "/metrics").text
        assert 'lakebed_sparkplug_total{event="births",source="mqtt"} 2.0' in text
