"""A fleet of one unit: made by a document, connected by its token, shared with, and put out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import paho.mqtt.client as paho
import pytest

from tests.server import Server, eventually

pytestmark = pytest.mark.slow(40)

DOCUMENT = """\
units:
  - {name: lamp, publish: ['lamps/{unit}/#'], read: []}
shares:
  - {name: roof, topics: ['roof/#'], with: ['owner:eve'], may: [read]}
policies:
  - {name: now, topics: ['roof/#', 'lamps/#'], type: number, keep: last_value}
"""


def as_(server: Server, token: str, method: str, path: str, **more: Any) -> httpx.Response:
    return server.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)


@contextmanager
def client(server: Server, token: str) -> Iterator[tuple[paho.Client, list[tuple[str, bytes]]]]:
    """A real client that shows its token as user name, and what it receives."""
    received: list[tuple[str, bytes]] = []
    made = paho.Client(paho.CallbackAPIVersion.VERSION2, "same", protocol=paho.MQTTv5)
    made.username_pw_set(token)
    made.on_message = lambda _client, _data, message: received.append(
        (message.topic, message.payload)
    )
    made.on_disconnect = lambda *_: received.append(("disconnected", b""))
    made.connect("127.0.0.1", server.mqtt_port)
    made.loop_start()
    try:
        eventually(made.is_connected)
        yield made, received
    finally:
        made.loop_stop()


def test_a_unit_from_its_document_to_its_end(server: Server) -> None:
    applied = server.request("POST", "/api/v1/apply", content=DOCUMENT)
    assert applied.status_code == 200, applied.text
    made = server.request("POST", "/api/v1/units/lamp/token").json()
    uuid, secret = made["uuid"], made["token"]
    eve = server.request("POST", "/api/v1/tokens", json={"owner": "eve", "name": "e"}).json()

    with client(server, secret) as (lamp, told), client(server, eve["token"]) as (other, received):
        assert lamp.publish(f"lamps/{uuid}/power", b"7", 1).rc == 0
        topic = f"lamps/{uuid}/power"
        eventually(
            lambda: server.request("GET", "/api/v1/last", params={"topic": topic}).is_success
        )
        eventually(lambda: server.get("/api/v1/units/lamp")["online"])
        assert server.get("/api/v1/units/lamp")["last_seen"]

        other.subscribe("$owner/admin/roof/#")

        def hears() -> bool:
            server.send("roof/wind", b"3")
            return ("$owner/admin/roof/wind", b"3") in received

        eventually(hears)
        asked = {"params": {"owner": "admin", "topic": "roof/wind"}}
        eventually(lambda: as_(server, eve["token"], "GET", "/api/v1/last", **asked).is_success)
        asked = {"params": {"owner": "admin", "topic": topic}}
        assert as_(server, eve["token"], "GET", "/api/v1/last", **asked).status_code == 403

        send = {"params": {"topic": topic}, "content": b"8"}
        assert as_(server, secret, "POST", "/api/v1/messages", **send).status_code == 202
        blocked = server.request("PATCH", "/api/v1/units/lamp", json={"blocked": True})
        assert blocked.json()["blocked"]
        began = time.monotonic()
        eventually(
            lambda: as_(server, secret, "POST", "/api/v1/messages", **send).status_code == 403, 3
        )
        assert time.monotonic() - began < 2.5
        eventually(lambda: ("disconnected", b"") in told, 31)
        assert ("disconnected", b"") not in received
        eventually(lambda: not server.get("/api/v1/units/lamp")["online"])
