"""Clients of MQTT as people have them: what each sends is stored once, whatever the way."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
import uvloop
from gmqtt import Client as GmqttClient
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.certificates import self_signed
from tests.clients import building
from tests.ports import free_port
from tests.server import Server

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(300)]
PATIENCE = 30.0
ACKNOWLEDGED = "acknowledged"
Messages = list[tuple[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("clients")
    certificate, key = self_signed(folder)
    settings = {
        "MQTT__WS_LISTEN": f"127.0.0.1:{free_port()}",
        "MQTT__WSS_LISTEN": f"127.0.0.1:{free_port()}",
        "MQTT__TLS_CERTIFICATE": str(certificate),
        "MQTT__TLS_KEY": str(key),
    }
    with Server(folder / "home", settings) as started:
        policy = {"name": "all", "topics": ["c/#"], "keep": "archive", "type": "text"}
        started.put_policies([policy | {"buffer": "0s"}])
        made = started.request(
            "POST", "/api/v1/tokens", json={"name": "c", "publish": ["c/#"], "read": ["c/#"]}
        )
        started.narrow = str(made.json()["token"])  # type: ignore[attr-defined]
        started.settings = settings  # type: ignore[attr-defined]
        started.certificate = str(certificate)  # type: ignore[attr-defined]
        yield started


def websocket_port(server: Any, way: str) -> int:
    if way == "http":
        return int(server.url.rpartition(":")[2])
    setting = "MQTT__WSS_LISTEN" if way == "wss" else "MQTT__WS_LISTEN"
    return int(server.settings[setting].rpartition(":")[2])


# --- each sends the messages, and says what it heard ----------------------------------------------


def by_paho(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    transport = "tcp" if way == "tcp" else "websockets"
    client = paho.Client(
        CallbackAPIVersion.VERSION2, "paho", protocol=version, transport=transport
    )  # fmt: skip
    client.username_pw_set("me", server.narrow)
    heard: dict[int, str] = {}
    client.on_publish = lambda _, __, number, reason, ___: heard.__setitem__(
        number, f"refused {reason.value}" if reason.is_failure else ACKNOWLEDGED
    )
    if transport == "websockets":
        client.ws_set_options(path="/mqtt")
    if way == "wss":
        client.tls_set(server.certificate)
    client.connect(
        "127.0.0.1", server.mqtt_port if way == "tcp" else websocket_port(server, way)
    )  # fmt: skip
    client.loop_start()
    sent = [client.publish(topic, payload, 1) for topic, payload in messages]
    for one in sent:
        one.wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()
    return [heard[one.mid] for one in sent]


def by_gmqtt(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    async def send() -> list[str]:
        client = GmqttClient("gmqtt")
        client.set_auth_credentials("me", server.narrow)
        await client.connect("127.0.0.1", server.mqtt_port, version=version)
        for topic, payload in messages:
            client.publish(topic, payload, qos=1)
        async with asyncio.timeout(PATIENCE):
            while not client._persistent_storage.is_empty:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await client.disconnect()
        return []  # it tells nobody

    return uvloop.run(send())


def by_aiomqtt(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    async def send() -> list[str]:
        wanted = aiomqtt.ProtocolVersion(version)
        more: dict[str, Any] = {}
        port = server.mqtt_port
        if way != "tcp":
            more = {"transport": "websockets", "websocket_path": "/mqtt"}
            port = websocket_port(server, way)
        async with aiomqtt.Client(
            "127.0.0.1", port, username="me", password=server.narrow, protocol=wanted, **more
        ) as client:  # fmt: skip
            for topic, payload in messages:
                await client.publish(topic, payload, 1, timeout=PATIENCE)
        return []

    return asyncio.run(send())


def by_mosquitto(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    for topic, payload in messages:
        run(["mosquitto_pub", "-V", {3: "31", 4: "311", 5: "5"}[version], "-p",
             str(server.mqtt_port), "-u", "me", "-P", server.narrow, "-q", "1", "-t", topic,
             "-m", payload])  # fmt: skip
    return []


def by_mqtt_js(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    folder = building.node()
    shutil.copy(Path(__file__).parent / "node" / "publish.mjs", folder)
    addresses = {
        "tcp": f"mqtt://127.0.0.1:{server.mqtt_port}",
        "ws": f"ws://127.0.0.1:{websocket_port(server, 'ws')}/mqtt",
        "http": f"ws://127.0.0.1:{websocket_port(server, 'http')}/mqtt",
        "wss": f"wss://localhost:{websocket_port(server, 'wss')}/mqtt",
    }
    return run(
        [str(building.NODE / "bin/node"), str(folder / "publish.mjs"), addresses[way],
         server.narrow, str(version), *flat(messages)],
        {"NODE_EXTRA_CA_CERTS": server.certificate},
    )  # fmt: skip


def by_go(client: str) -> Callable[[Any, str, int, Messages], list[str]]:
    def send(server: Any, way: str, version: int, messages: Messages) -> list[str]:
        address = f"mqtt://127.0.0.1:{server.mqtt_port}"
        if way != "tcp":
            address = f"ws://127.0.0.1:{websocket_port(server, way)}/mqtt"
        return run([str(building.go()), client, address, server.narrow, *flat(messages)])

    return send


def by_rumqttc(server: Any, way: str, version: int, messages: Messages) -> list[str]:
    sending = [str(building.rust()), str(version), str(server.mqtt_port), server.narrow]
    return run([*sending, *flat(messages)])


def flat(messages: Messages) -> list[str]:
    return [text for pair in messages for text in pair]


def run(command: list[str], environment: dict[str, str] | None = None) -> list[str]:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=2 * PATIENCE, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


CLIENTS = [
    *(("paho", by_paho, way, version) for version in (3, 4, 5) for way in ("tcp", "http")),
    ("paho", by_paho, "wss", 5),
    *(("gmqtt", by_gmqtt, "tcp", version) for version in (MQTTv311, MQTTv50)),
    *(("aiomqtt", by_aiomqtt, way, 5) for way in ("tcp", "ws")),
    *(("mosquitto_pub", by_mosquitto, "tcp", version) for version in (3, 4, 5)),
    *(("mqtt.js", by_mqtt_js, way, 5) for way in ("tcp", "ws", "http", "wss")),
    *(("mqtt.js", by_mqtt_js, "tcp", version) for version in (3, 4)),
    *(("paho.mqtt.golang", by_go("paho"), way, 4) for way in ("tcp", "ws")),
    *(("autopaho", by_go("autopaho"), way, 5) for way in ("tcp", "http")),
    *(("rumqttc", by_rumqttc, "tcp", version) for version in (4, 5)),
]


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize(
    ("name", "send", "way", "version"),
    [pytest.param(*one, id=f"{one[0]}-{one[3]}-{one[2]}") for one in CLIENTS],
)
def test_what_a_client_sends_is_stored_once_and_a_refusal_stops_nothing(
    server: Server, name: str, send: Any, way: str, version: int
) -> None:
    topic = f"c/{name}/{version}/{way}"
    long = "x" * 70_000 if name != "mosquitto_pub" else "x" * 1_000
    payloads = ["21.5", "0", "☂ ünïcode", '{"a": [1, 2]}', long]
    messages = [(topic, payload) for payload in payloads]
    said = [ACKNOWLEDGED] * len(messages)
    if (name, version) != ("rumqttc", 5):  # it connects anew at a refusal, and sends twice
        messages.insert(2, ("forbidden", "x"))
        said.insert(2, "refused 135" if version == 5 else ACKNOWLEDGED)
    assert send(server, way, version, messages) in (said, [])
    server.settle()
    assert [record["value"] for record in server.records(topic, "all")] == payloads


@pytest.mark.parametrize("version", [3, 4])
def test_a_wrong_password_is_what_the_client_of_go_reports(server: Server, version: int) -> None:
    """It falls back to MQTT 3.1 when 3.1.1 is refused, and tells what it hears there."""
    done = subprocess.run(
        [str(building.go()), "paho", f"mqtt://127.0.0.1:{server.mqtt_port}", "wrong", "c/x", "1"],
        capture_output=True, text=True, timeout=2 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "bad user name or password" in done.stdout


@pytest.mark.server("mosquitto")
@pytest.mark.parametrize("version", ["31", "311", "5"])
def test_mosquitto_sub_hears_what_is_sent(server: Server, version: str) -> None:
    topic, narrow = f"c/sub/{version}", server.narrow  # type: ignore[attr-defined]
    hearing = subprocess.Popen(
        ["mosquitto_sub", "-V", version, "-p", str(server.mqtt_port), "-u", "me", "-P", narrow,
         "-t", topic, "-C", "1", "-F", "%t %p", "-W", "30"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    while hearing.poll() is None:  # nothing tells when it has subscribed
        server.send(topic, "21.5")
        time.sleep(0.1)
    assert hearing.communicate()[0] == f"{topic} 21.5\n"
