"""Mosquitto, and a client that subscribes to all that comes."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import paho.mqtt.client as paho
import pytest
from paho.mqtt.properties import Properties
from relay_place import record
from tests.broker import Mosquitto
from tests.crash.network import Proxy

from lakebed.ports.relays import Record
from lakebed.relays.targets.mqtt import KIND


class MqttPlace:
    """Attributes:
    messages: what came, in order.
    """

    kind = KIND
    relay = "ann/out/1"
    secrets: Mapping[str, str] = {}
    wrong: ClassVar[dict[str, Any]] = {
        "mqtt": "http://h", "topic": "a/+", "qos": 2, "retain": "yes", "user": "",
        "password": "hunter2", "ca": "PEM",
    }  # fmt: skip

    def __init__(self, broker: Mosquitto, proxy: Proxy) -> None:
        self.proxy = proxy
        self.run = secrets.token_hex(4)
        self.options: dict[str, Any] = {
            "mqtt": f"mqtt://127.0.0.1:{proxy.port}", "topic": f"{self.run}/{{topic}}"
        }  # fmt: skip
        self.messages: list[paho.MQTTMessage] = []
        ready = threading.Event()
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_message = lambda _, __, message: self.messages.append(message)
        client.on_subscribe = lambda *_: ready.set()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.subscribe(f"{self.run}/#", 1)
        assert ready.wait(20)
        self.client = client

    def arrived(self) -> list[tuple[str, str]]:
        """Each id once, as a receiver has to see it."""
        found = {
            properties_of(message)["id"]: (
                message.topic.partition("/")[2], message.payload.decode()
            )
            for message in list(self.messages)
        }  # fmt: skip
        return list(found.values())

    def refused(self) -> Record | None:
        return record(900, payload=b"x" * 300_000)  # more than the broker's max_packet_size


def properties_of(message: paho.MQTTMessage) -> dict[str, str]:
    assert isinstance(message.properties, Properties)
    return dict(message.properties.UserProperty)


@contextmanager
def place(request: pytest.FixtureRequest) -> Iterator[MqttPlace]:
    broker = request.getfixturevalue("own_mosquitto")
    with Proxy([broker.port]) as proxy:
        found = MqttPlace(broker, proxy)
        try:
            yield found
        finally:
            found.client.disconnect()
            found.client.loop_stop()
