"""What is stored was acknowledged, however a connection ends: the real server, real clients."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from tests.rawmqtt import CONNACK, DISCONNECT, PUBACK, Raw, connect, publish
from tests.server import Server

pytestmark = pytest.mark.slow
PATIENCE = 30.0  # seconds for anything to happen on a busy machine
WINDOW = 60_000  # messages without an ack; the server's Receive Maximum is 65,535
ENDS = 4  # connections that the same mistake ends, one after another


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("ending") / "home"
    with Server(home, {"LIMITS__PAYLOAD": "1000", "MQTT__ON_REFUSED": "disconnect"}) as started:
        yield started


def stored(server: Server, topic: str) -> int:
    """How many messages of a topic became durable."""
    topics = server.get("/api/v1/flow", by="topic")["topics"]
    return sum(row["received"] for row in topics if row["topic"] == topic)


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_paho_that_repeats_a_mistake_has_all_else_stored_once(
    server: Server, version: int, qos: int
) -> None:
    topic = f"repeated/{version}/{qos}"
    ends = threading.Semaphore(0)
    kept = {"clean_session": False} if version == MQTTv311 else {}
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=f"paho{version}{qos}", protocol=version, **kept
    )
    client.username_pw_set("me", server.token)
    client.reconnect_delay_set(0.2, 0.2)
    client.on_disconnect = lambda *_: ends.release()
    client.connect("127.0.0.1", server.mqtt_port)
    good = [client.publish(topic, b"%d" % i, qos) for i in range(5)]
    bad = client.publish(topic, bytes(1001 if version == MQTTv311 else 2**18), qos)
    client.loop_start()
    try:
        for _ in range(ENDS):
            assert ends.acquire(timeout=PATIENCE)
        for one in good:
            one.wait_for_publish(PATIENCE)
        assert not bad.is_published()
    finally:
        client.disconnect()
        client.loop_stop()
    assert stored(server, topic) == 5


class Flood(threading.Thread):
    """Sends QoS 1 messages until its connection ends, as many ahead of their acks as is allowed."""

    def __init__(self, server: Server, topic: bytes) -> None:
        super().__init__()
        self._raw = Raw(server).login(server.token, client_id="flood")
        self._topic = topic
        self.acked = 0
        self.goodbye = b""
        self._ended = threading.Event()
        self._window = threading.Semaphore(WINDOW)

    def run(self) -> None:
        sender = threading.Thread(target=self._send)
        sender.start()
        with self._raw:
            while True:
                kind, body = self._raw.receive()
                if kind != PUBACK:
                    break
                self.acked += 1
                self._window.release()
            self.goodbye = bytes([kind << 4]) + body
            self._ended.set()
            self._window.release()
        sender.join()

    def _send(self) -> None:
        with suppress(OSError):
            for number in range(2_000_000):
                self._window.acquire()
                if self._ended.is_set():
                    return
                self._raw.send(publish(self._topic, b"%d" % number, number % 65_000 + 1))


class Requests(threading.Thread):
    """POSTs messages without waiting for answers, until its connection ends."""

    def __init__(self, server: Server, topic: str) -> None:
        super().__init__()
        self._socket = socket.create_connection(("127.0.0.1", server.http_port), PATIENCE)
        self._request = (
            f"POST /api/v1/messages?topic={topic} HTTP/1.1\r\nHost: lakebed\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: 1\r\n\r\n1"
        ).encode()
        self.heard = b""
        self.reset = False

    @property
    def accepted(self) -> int:
        return self.heard.count(b"202 Accepted")

    def run(self) -> None:
        sender = threading.Thread(target=self._send)
        sender.start()
        with self._socket:
            try:
                while data := self._socket.recv(65536):
                    self.heard += data
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                self.reset = True
        sender.join()

    def _send(self) -> None:
        with suppress(OSError):
            for _ in range(100_000):
                self._socket.sendall(self._request)


def test_a_server_that_stops_has_acknowledged_all_it_stored(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Server(home) as server:
        flood, requests = Flood(server, b"flood"), Requests(server, "requests")
        flood.start()
        requests.start()
        while flood.acked < 500 or requests.accepted < 50:
            time.sleep(0.005)
        assert server.stop() == 0
        flood.join(PATIENCE)
        requests.join(PATIENCE)
    assert flood.goodbye[:2] == bytes([DISCONNECT << 4, 0x8B])
    assert not requests.reset
    with Server(home) as server:
        assert stored(server, "flood") == flood.acked
        assert stored(server, "requests") == requests.accepted


def test_a_server_that_stops_lets_no_message_wait_for_others(tmp_path: Path) -> None:
    with Server(tmp_path / "home", {"JOURNAL__COMMIT_DELAY": "2s"}) as server:
        with Raw(server).login(server.token) as raw:
            raw.send(publish(b"alone", b"1"))
            time.sleep(0.2)
            began = time.monotonic()
            stopping = threading.Thread(target=server.stop)
            stopping.start()
            assert raw.receive() == (PUBACK, b"\0\1")
            assert time.monotonic() - began < 1.5
            assert raw.receive()[0] == DISCONNECT
        stopping.join()


def test_a_client_that_connects_publishes_and_closes_its_side_is_answered(server: Server) -> None:
    """As `nc` sends a file: all at once."""
    with socket.create_connection(("127.0.0.1", server.mqtt_port), PATIENCE) as device:
        packets = [publish(b"piped", b"%d" % i, i) for i in range(1, 6)]
        device.sendall(connect(server.token, "piped") + b"".join(packets))
        device.shutdown(socket.SHUT_WR)
        heard = b""
        while data := device.recv(65536):
            heard += data
    assert heard[0] >> 4 == CONNACK
    assert heard.endswith(b"".join(b"\x40\x02\x00" + bytes([i]) for i in range(1, 6)))
