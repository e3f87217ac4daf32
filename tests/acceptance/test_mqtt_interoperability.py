"""What the client tests of Eclipse Paho's interoperability suite ask of a server, asked of ours.

Written anew for an endpoint that takes messages in: docs/reference/mqtt.md lists the suite's tests
with the place of each here, or why it does not apply.
"""

import queue
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.server import Server

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
PATIENCE = 30.0  # seconds for anything to happen on a busy machine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("interoperability") / "home") as started:
        yield started


class Peer:
    """paho, connected; what it hears is queued."""

    def __init__(self, server: Server, version: int, token: str = "", **more: Any) -> None:
        self.heard: queue.Queue[MQTTMessage] = queue.Queue()
        self.events: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        self.client.username_pw_set("me", token or server.token)
        self.client.on_connect = lambda *event: self.events.put(event)
        self.client.on_subscribe = lambda *event: self.events.put(event)
        self.client.on_unsubscribe = lambda *event: self.events.put(event)
        self.client.on_message = lambda _, __, message: self.heard.put(message)
        self.client.connect("127.0.0.1", server.mqtt_port, **more)
        self.client.loop_start()
        self.connack = self.event()

    def event(self) -> tuple[Any, ...]:
        return self.events.get(timeout=PATIENCE)

    def subscribe(self, *filters: str) -> list[Any]:
        self.client.subscribe([(filter, 2) for filter in filters])
        return list(self.event()[3])

    def publish(self, topic: str, payload: bytes, qos: int = 1, **more: Any) -> None:
        self.client.publish(topic, payload, qos, **more).wait_for_publish(PATIENCE)

    def hears(self, count: int) -> list[tuple[str, bytes]]:
        found = [self.heard.get(timeout=PATIENCE) for _ in range(count)]
        return [(message.topic, message.payload) for message in found]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def received(server: Server, topic: str) -> int:
    """How many messages of a topic became durable."""
    topics = server.get("/api/v1/flow", by="topic")["topics"]
    counts = {row["topic"]: row["received"] for row in topics}
    return int(counts.get(topic, 0))


@BOTH
def test_messages_of_every_quality_reach_a_subscriber(server: Server, version: int) -> None:
    with Peer(server, version) as peer:
        peer.subscribe(f"basic{version}/+")
        for qos in (0, 1, 2):
            peer.publish(f"basic{version}/{qos}", b"qos %d" % qos, qos)
        expected = [(f"basic{version}/{qos}", b"qos %d" % qos) for qos in (0, 1, 2)]
        assert sorted(peer.hears(3)) == expected
        assert peer.heard.empty()


@BOTH
def test_a_retained_message_is_taken_in_and_not_retained(server: Server, version: int) -> None:
    topic = f"retained{version}/a"
    with Peer(server, version) as peer:
        peer.publish(topic, b"1", retain=True)
        peer.subscribe(topic)
        peer.publish(topic, b"2", retain=True)
        assert peer.hears(1) == [(topic, b"2")]
    assert received(server, topic) == 2


def test_without_an_identifier_a_client_of_mqtt_5_is_told_the_one_it_got(server: Server) -> None:
    with Peer(server, MQTTv5) as peer:
        assert peer.connack[3] == 0
        assert peer.connack[4].AssignedClientIdentifier


def test_without_an_identifier_a_client_of_3_1_1_gets_no_session_to_keep(server: Server) -> None:
    with Peer(server, MQTTv311) as peer:
        assert peer.connack[3] == 0
    # paho refuses to be so wrong: the bytes of CONNECT, flags without Clean Session
    with socket.create_connection(("127.0.0.1", server.mqtt_port), PATIENCE) as raw:
        raw.settimeout(PATIENCE)
        raw.sendall(bytes.fromhex("10 0c 0004 4d515454 04 00 003c 0000"))
        assert raw.recv(4) == bytes.fromhex("20 02 00 02")


@BOTH
def test_overlapping_subscriptions_bring_a_message_at_least_once(
    server: Server, version: int
) -> None:
    with Peer(server, version) as peer:
        peer.subscribe(f"over{version}/#", f"over{version}/+")
        peer.publish(f"over{version}/a", b"x", 2)
        peer.publish(f"over{version}/end", b"end", 2)
        heard = []
        while not heard or heard[-1][1] != b"end":
            heard += peer.hears(1)
        assert 1 <= heard.count((f"over{version}/a", b"x")) <= 2


@BOTH
def test_topics_with_a_dollar_are_not_covered_by_a_wildcard(server: Server, version: int) -> None:
    wanted = {"publish": ["#", "$other/#"], "read": ["#", "$other/#"]}
    answer = server.request(
        "POST", "/api/v1/tokens", json={"owner": "admin", "name": f"dollar{version}", **wanted}
    )
    token = answer.json()["token"]
    with Peer(server, version, token=token) as peer, Peer(server, version, token=token) as other:
        peer.subscribe("#", "+/dollar")
        other.subscribe("$other/+")
        other.publish("$other/dollar", b"hidden")
        assert other.hears(1) == [("$other/dollar", b"hidden")]
        other.publish(f"seen{version}/dollar", b"seen")
        assert peer.hears(1) == [(f"seen{version}/dollar", b"seen")]


@BOTH
def test_what_was_unsubscribed_is_heard_no_more(server: Server, version: int) -> None:
    with Peer(server, version) as peer:
        peer.subscribe(f"off{version}/a", f"off{version}/b")
        peer.client.unsubscribe(f"off{version}/a")
        peer.event()
        peer.publish(f"off{version}/a", b"a")
        peer.publish(f"off{version}/b", b"b")
        assert peer.hears(1) == [(f"off{version}/b", b"b")]


def test_a_message_that_expires_is_durable_all_the_same(server: Server) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.MessageExpiryInterval = 1
    with Peer(server, MQTTv5) as peer:
        peer.publish("expiring/a", b"x", properties=properties)
    assert received(server, "expiring/a") == 1


def test_request_and_response_properties_do_no_harm(server: Server) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "answers/here", b"7"
    properties.ContentType = "text/plain"
    with Peer(server, MQTTv5) as peer:
        peer.subscribe("questions")
        peer.publish("questions", b"why", properties=properties)
        assert peer.hears(1) == [("questions", b"why")]


def test_a_client_may_ask_for_limits_of_its_own(server: Server) -> None:
    limits = Properties(PacketTypes.CONNECT)
    limits.ReceiveMaximum, limits.MaximumPacketSize, limits.TopicAliasMaximum = 2, 64, 0
    with Peer(server, MQTTv5, properties=limits) as peer:
        peer.subscribe("large", "small")
        peer.publish("large", b"x" * 100)  # not sent to it: larger than it takes
        for i in range(5):
            peer.publish("small", b"%d" % i)
        assert peer.hears(5) == [("small", b"%d" % i) for i in range(5)]
    assert received(server, "large") == 1
