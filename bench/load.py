"""A load generator for MQTT 3.1.1 that costs as little as it can: it shares the machine.

Packets are built beforehand, or joined from parts that were; acknowledgements are counted by their
bytes. Runs in a process of its own: `run()` starts it and returns what it measured.
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from bench.apart import apart
from bench.pace import Pace, drive_at
from bench.websocket import Framed

_PUBACK = 4  # bytes of a PUBACK without properties
_TOGETHER = 200  # connections that are opened at a time
_BODIES = 4001  # distinct payloads
_TIMED = 5  # one of so many messages is timed


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        messages: how many in all; message i goes to topic `i % topics` with `payload(i)`, over
            connection `i % connections`.
        in_flight: QoS 1 messages a connection has unacknowledged at most.
        qos: 0 or 1.
        rate: messages a second of all connections together; 0 for as fast as it goes.
        regular: whether these are equally far apart; see `Pace`.
        websocket: whether `port` is one of HTTP, and MQTT goes to `/mqtt` there.
    """

    port: int
    token: str
    messages: int
    connections: int = 4
    in_flight: int = 200
    topics: int = 1000
    qos: int = 1
    host: str = "127.0.0.1"
    prefix: str = "plant"
    rate: float = 0.0
    regular: bool = True
    websocket: bool = False


@dataclass(slots=True)
class Measured:
    """Attributes:
    began: `time.monotonic()` just before the first message, the same clock for all processes.
    seconds: from the first message to the last acknowledgement (QoS 0: to the last byte sent).
    waits: sampled times from sending to the acknowledgement, seconds.
    cpu: CPU seconds of the generator itself.
    behind: with a rate, the most by which a message left later than it was due, seconds.
    """

    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    waits: list[float] = field(default_factory=list)
    behind: float = 0.0

    def wait(self, share: float) -> float:
        """A quantile of the waits."""
        ordered = sorted(self.waits) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def topic(i: int, load: Load) -> str:
    return f"{load.prefix}/{i % load.topics:06d}/temperature"


def value(i: int) -> float:
    """A reading with two decimals, always five characters; the same i gives the same reading."""
    return (i * 7919 % _BODIES) / 100 + 10


def payload(i: int) -> bytes:
    return b"%.2f" % value(i)


def publish(name: bytes, body: bytes, qos: int, packet_id: int) -> bytes:
    """A PUBLISH packet (MQTT 3.1.1 section 3.3)."""
    return head(name, len(body), qos) + (struct.pack(">H", packet_id) if qos else b"") + body


def head(name: bytes, size: int, qos: int) -> bytes:
    """What stands in a PUBLISH before the packet identifier and a payload of `size` bytes."""
    remaining = 2 + len(name) + (2 if qos else 0) + size
    length = bytearray()
    while True:
        remaining, digit = divmod(remaining, 128)
        length.append(digit | (128 if remaining else 0))
        if not remaining:
            break
    return bytes([0x30 | qos << 1]) + bytes(length) + struct.pack(">H", len(name)) + name


def connect(client_id: str, token: str) -> bytes:
    """A CONNECT packet with a clean session (MQTT 3.1.1 section 3.1)."""
    variable = b"\0\4MQTT\4\xc2\0\0"
    for text in (client_id, "bench", token):
        variable += struct.pack(">H", len(text)) + text.encode()
    return bytes([0x10, len(variable)]) + variable


class Connection(asyncio.Protocol):
    """What all senders share: they log in, count acknowledgements, and end in order.

    Attributes:
        next: how many must be acknowledged for something to happen.
    """

    def __init__(self, load: Load, number: int) -> None:
        loop = asyncio.get_running_loop()
        self.load, self.number = load, number
        self.ready: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.total = len(range(number, load.messages, load.connections))
        self.sent = self.acked = self._partial = 0
        self.next = self.total
        self._open = False
        self._timed: deque[tuple[int, float]] = deque()  # the how manieth, and when it was sent
        self.waits: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(connect(f"bench-{self.number}", self.load.token))

    def data_received(self, data: bytes) -> None:
        if not self._open:
            assert data == b"\x20\x02\x00\x00", f"refused: {data!r}"
            self._open = True
            self.ready.set_result(None)
            return
        if len(data) == _PUBACK and not self._partial:
            self.acked += 1
        else:
            count, self._partial = divmod(self._partial + len(data), _PUBACK)
            self.acked += count
        while self._timed and self._timed[0][0] <= self.acked:
            self.waits.append(time.perf_counter() - self._timed.popleft()[1])
        if self.acked >= self.next:
            self.acknowledged()

    def acknowledged(self) -> None:
        self.end_if_done()

    def write(self, data: bytes, count: int) -> None:
        self.sent += count
        if count > 1 or (self.sent + self.number) % _TIMED == 0:
            self._timed.append((self.sent, time.perf_counter()))
        self.transport.write(data)

    def end_if_done(self) -> None:
        if self.sent == self.total and (not self.load.qos or self.acked >= self.total):
            self.transport.write(b"\xe0\0")
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        done = self.sent == self.total and error is None
        for future in (self.ready, self.ended):
            if not future.done() and done:
                future.set_result(None)
            elif not future.done():
                future.set_exception(error or ConnectionError("the server closed the connection"))


class Burst(Connection):
    """Sends blocks of a quarter of the window as fast as acknowledgements open it."""

    def __init__(self, load: Load, number: int, names: Sequence[bytes]) -> None:
        super().__init__(load, number)
        self.next = 1
        self._size = max(1, load.in_flight // 4)
        self._blocks = deque(_blocks(load, number, self._size, names))
        self._paused = False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.acknowledged()

    def acknowledged(self) -> None:
        window = self.load.in_flight
        while self._blocks and not self._paused:
            size = min(self._size, self.total - self.sent)
            if self.load.qos and self.sent - self.acked + size > window:
                return
            self.write(self._blocks.popleft(), size)
        if not self._blocks:
            self.end_if_done()


def _blocks(load: Load, number: int, size: int, names: Sequence[bytes]) -> Iterator[bytes]:
    """All packets of one connection, `size` of them at a time."""
    share = range(number, load.messages, load.connections)
    for start in range(0, len(share), size):
        yield b"".join(
            publish(names[i % load.topics], payload(i), load.qos, place % 65535 + 1)
            for place, i in enumerate(share[start : start + size], start)
        )


async def _drive(load: Load) -> Measured:
    names = [topic(i, load).encode() for i in range(load.topics)]
    connections: list[Connection] = (
        [Connection(load, number) for number in range(load.connections)]
        if load.rate
        else [Burst(load, number, names) for number in range(load.connections)]
    )
    await _open(connections, load)
    began, cpu = time.monotonic(), time.process_time()
    behind = 0.0
    if load.rate:
        behind = await _paced(load, connections, names)
    else:
        for connection in connections:
            connection.acknowledged()
    await asyncio.gather(*(connection.ended for connection in connections))
    waits = [wait for connection in connections for wait in connection.waits]
    return Measured(
        began, time.monotonic() - began, time.process_time() - cpu, waits, behind
    )  # fmt: skip


async def _open(connections: Sequence[Connection], load: Load) -> None:
    loop = asyncio.get_running_loop()
    for start in range(0, len(connections), _TOGETHER):
        few = connections[start : start + _TOGETHER]
        await asyncio.gather(
            *(loop.create_connection(partial(_protocol, c), load.host, load.port) for c in few)
        )
        await asyncio.gather(*(connection.ready for connection in few))


def _protocol(connection: Connection) -> asyncio.Protocol:
    return Framed(connection) if connection.load.websocket else connection


async def _paced(load: Load, connections: Sequence[Connection], names: Sequence[bytes]) -> float:
    heads = [head(name, len(payload(0)), load.qos) for name in names]
    bodies = [payload(i) for i in range(_BODIES)]
    count = load.connections

    def send(i: int) -> None:
        place, number = divmod(i, count)
        packet_id = struct.pack(">H", place % 65535 + 1) if load.qos else b""
        connections[number].write(heads[i % load.topics] + packet_id + bodies[i % _BODIES], 1)

    return await drive_at(Pace(load.rate, load.messages, load.regular), send)


def run(load: Load) -> Measured:
    """Send it all from another process."""
    measured: Measured = apart(_drive, load)
    return measured
