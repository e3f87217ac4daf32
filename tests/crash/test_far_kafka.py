"""Kafka is far from the gateway: the way is long, narrow, stalls for seconds, and breaks."""

import random
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import rawmqtt
from tests.cluster import Servers, servers
from tests.crash.fleet import Fleet
from tests.crash.network import Proxy
from tests.crash.oracle import SEED, times
from tests.server import Server

TROUBLES = times(25, 500)
PUSHING = times(15, 300)  # seconds

pytestmark = [
    pytest.mark.slow(60),
    pytest.mark.timeout(600 + 10 * TROUBLES + 2 * PUSHING),
    pytest.mark.server("kafka"),
    pytest.mark.server("postgres"),
]

_PAYLOAD = random.Random(SEED).randbytes(60_000)  # nothing that could be compressed
_PUSHERS = 12
_GROWTH = 250 * 2**20  # bytes: the intake holds 64 MiB, the journal what it is about to send


@pytest.fixture(scope="module")
def on() -> Iterator[Servers]:
    with servers() as found:
        yield found


@pytest.fixture
def way(on: Servers) -> Iterator[Proxy]:
    """Between the gateway and Kafka; other processes are near."""
    with Proxy([on.kafka.far], SEED, on.kafka.by) as proxy:
        yield proxy


def test_a_way_that_is_slow_stalls_and_breaks_loses_nothing_and_doubles_nothing(
    tmp_path: Path, on: Servers, way: Proxy
) -> None:
    with Fleet(tmp_path, on, gateways=1, keepers=1, way=way) as fleet:
        way.latency = (0.05, 0.2)
        fleet.send()
        for _ in range(TROUBLES):
            time.sleep(fleet.dice.uniform(0.3, 1.5))
            match fleet.dice.choice(("stall", "cut", "cut some", "narrow")):
                case "stall":
                    way.stall(fleet.dice.uniform(0.5, 5))
                case "cut":
                    way.cut()
                case "cut some":
                    way.cut(0.5)
                case "narrow":
                    way.bandwidth = fleet.dice.choice((0, 16_000, 64_000))
        way.bandwidth = 0
        fleet.finish()
        fleet.check_fresh()
        fleet.check()


def test_a_gateway_whose_way_to_kafka_is_too_narrow_holds_back_its_senders(
    tmp_path: Path, on: Servers, way: Proxy
) -> None:
    with Fleet(tmp_path, on, gateways=1, keepers=1, way=way) as fleet:
        gateway = fleet.gateways[0]
        way.latency, way.bandwidth = (0.05, 0.2), 200_000
        before = peak_memory(gateway)
        pushers = [Pusher(gateway, f"pusher-{number}") for number in range(_PUSHERS)]
        for pusher in pushers:
            pusher.start()
        way.stall(PUSHING / 2)
        time.sleep(PUSHING)
        grown = peak_memory(gateway) - before
        for pusher in pushers:
            pusher.ending.set()
        way.bandwidth = 0
        way.latency = (0.0, 0.01)
        for pusher in pushers:
            pusher.join(240)
            assert pusher.waiting == 0, pusher.error
        sent = sum(pusher.sent for pusher in pushers)
        print(f"{sent} messages of {len(_PAYLOAD)} bytes, the gateway grew by {grown >> 20} MiB")
        assert max(grown, peak_memory(gateway) - before) < _GROWTH
        flow = fleet.server.settle(seconds=120)
        received = flow["received"] - flow["duplicates"]
        assert received - fleet.before["received"] == sent


def peak_memory(server: Server) -> int:
    """Bytes that were resident at most, ever."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


class Pusher(threading.Thread):
    """Publishes at QoS 1 as fast as its socket takes it, until `ending`; then waits for answers."""

    def __init__(self, server: Server, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.ending = threading.Event()
        self.sent = self.waiting = 0
        self.error: BaseException | None = None
        self._server = server

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._server.mqtt_port), 30) as connection:
                self._push(connection)
        except BaseException as error:
            self.error = error

    def _push(self, connection: socket.socket) -> None:
        connection.sendall(rawmqtt.connect(self._server.token, self.name, version=4))
        assert connection.recv(4) == b"\x20\x02\0\0"
        connection.setblocking(False)
        answers = 0
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while rest or not self.ending.is_set() or self.waiting:
                wanted = selectors.EVENT_READ
                if rest or (not self.ending.is_set() and self.waiting < 60_000):
                    wanted |= selectors.EVENT_WRITE
                selector.modify(connection, wanted)
                for _, events in selector.select(1):
                    if events & selectors.EVENT_READ:
                        read = connection.recv(1 << 16)
                        assert read, "the gateway hung up"
                        answers += len(read)
                    if events & selectors.EVENT_WRITE:
                        if not rest:
                            self.sent += 1
                            rest = _packet(self.sent)
                        rest = rest[connection.send(rest) :]
                self.waiting = self.sent - answers // 4


def _packet(number: int) -> bytes:
    """QoS 1 of MQTT 3.1.1."""
    identifier = (number - 1) % 65535 + 1
    return rawmqtt.packet(0x32, rawmqtt.text("push"), identifier.to_bytes(2, "big"), _PAYLOAD)
