"""Real clients that send real readings: paho, gmqtt and httpx, each as its users would."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gmqtt
import httpx
from gmqtt.storage import PersistentStorage
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MessageState
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.dataset import Reading
from tests.server import Server

PATIENCE = 120.0  # seconds until everything must be acknowledged
Payload = Callable[[Reading], str]


def _plain(reading: Reading) -> str:
    return reading.plain


def publish_by_paho(
    server: Server,
    readings: Sequence[Reading],
    qos: int,
    *,
    version: int = 5,
    payload: Payload = _plain,
    client_id: str = "paho",
    progress: Callable[[int], None] = lambda sent: None,
) -> None:
    """Publish all and return when each is acknowledged, however often the server goes away.

    With MQTT 5 every message carries its id, and its time where the payload has none. The session
    is kept: what is unacknowledged when the connection breaks is sent again.
    """
    client = paho_client(server, client_id, version)
    acknowledged: set[int] = set()
    client.on_publish = lambda _client, _data, number, _reason, _more: acknowledged.add(number)
    client.connect("127.0.0.1", server.mqtt_port, keepalive=30, **session(version, client_id))
    client.loop_start()
    try:
        for sent, reading in enumerate(readings):
            properties = _user_properties(reading, payload is _plain) if version == 5 else None
            client.publish(reading.topic, payload(reading), qos, properties=properties)
            progress(sent)
        until = time.monotonic() + PATIENCE
        while len(acknowledged) < len(readings):
            time.sleep(0.05)
            assert time.monotonic() < until, f"{client_id} waits for acknowledgements"
    finally:
        client.disconnect()
        client.loop_stop()


class Paho(paho.Client):
    """paho as it is, but for one fault of its version 2.2.

    At its second attempt to reconnect in a row it no longer knows that it had sent PUBREL, and
    publishes the message anew where [MQTT-4.3.3-1] forbids it: to the server it is another one.
    """

    def _messages_reconnect_reset_out(self) -> None:
        with self._out_message_mutex:  # reentrant; the user's thread adds messages meanwhile
            released = [
                message
                for message in self._out_messages.values()
                if message.state == MessageState.MQTT_MS_RESEND_PUBREL
            ]
            super()._messages_reconnect_reset_out()
            for message in released:
                message.state = MessageState.MQTT_MS_RESEND_PUBREL


def paho_client(server: Server, client_id: str, version: int) -> Paho:
    protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
    kept = {} if version == 5 else {"clean_session": False}
    client = Paho(CallbackAPIVersion.VERSION2, client_id, protocol=protocol, **kept)
    client.username_pw_set("device", server.token)
    client.max_inflight_messages_set(200)
    client.max_queued_messages_set(0)
    client.reconnect_delay_set(0.1, 0.5)  # type: ignore[arg-type]  # seconds, fractions work
    return client


def session(version: int, client_id: str) -> dict[str, Any]:
    if version != 5:
        return {}
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    return {"clean_start": False, "properties": properties}


def _user_properties(reading: Reading, with_time: bool) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("id", reading.id)]
    if with_time:
        properties.UserProperty = [("time", reading.time)]  # paho appends
    return properties


async def publish_by_gmqtt(server: Server, readings: Sequence[Reading]) -> None:
    """QoS 1, MQTT 5; returns when each is acknowledged."""
    waiting = PersistentStorage()
    client = gmqtt.Client("gmqtt", persistent_storage=waiting)
    client.set_auth_credentials("device", server.token)
    await client.connect("127.0.0.1", server.mqtt_port)
    for sent, reading in enumerate(readings):
        properties = [("time", reading.time), ("id", reading.id)]
        client.publish(reading.topic, reading.plain, qos=1, user_property=properties)
        if sent % 100 == 99:
            await asyncio.wait_for(waiting.wait_empty(), PATIENCE)
    await asyncio.wait_for(waiting.wait_empty(), PATIENCE)
    await client.disconnect()


def post_batches(
    server: Server,
    readings: Sequence[Reading],
    size: int = 500,
    *,
    progress: Callable[[int], None] = lambda sent: None,
) -> None:
    """NDJSON batches; one that got no answer is sent again as it is, ids and all."""
    sent = 0
    for lines in _chunks([_line(reading) for reading in readings], size):
        _post_until_accepted(server, lines)
        sent += len(lines)
        progress(sent)


def _line(reading: Reading) -> str:
    return json.dumps(
        {
            "topic": reading.topic,
            "value": reading.value,
            "time": reading.time,
            "id": reading.id,
        }
    )


def _chunks(lines: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(lines), size):
        yield lines[start : start + size]


def _post_until_accepted(server: Server, lines: list[str]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            answer = server.request("POST", "/api/v1/messages/batch", content="\n".join(lines))
        except (httpx.HTTPError, OSError):
            answer = None
        if answer is not None and answer.status_code == 202:
            assert answer.json() == {"accepted": len(lines), "rejected": []}
            return
        assert answer is None or answer.status_code == 503, answer.text
        assert time.monotonic() < until, "the batch was never accepted"
        time.sleep(0.1)
