"""A load generator for MQTT 3.1.1 that costs as little as it can: it shares the machine.

Packets are built beforehand, block by block; acknowledgements are counted by their bytes. Runs in
a process of its own: `run()` starts it and returns what it measured.
"""

import asyncio
import multiprocessing
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

_PUBACK = 4  # bytes of a PUBACK without properties


@dataclass(frozen=True, slots=True)
class Load:
    """What to send.

    Attributes:
        messages: how many in all; message i goes to topic `i % topics` with `payload(i)`.
        connections: each sends its own share of the messages.
        in_flight: QoS 1 messages a connection has unacknowledged at most.
        qos: 0 or 1.
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


@dataclass(slots=True)
class Measured:
    """Attributes:
    began: `time.monotonic()` just before the first message, the same clock for all processes.
    seconds: from the first message to the last acknowledgement (QoS 0: to the last byte sent).
    waits: sampled times from sending to the acknowledgement, seconds.
    cpu: CPU seconds of the generator itself.
    """

    began: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    waits: list[float] = field(default_factory=list)

    def wait(self, share: float) -> float:
        """A quantile of the waits."""
        ordered = sorted(self.waits) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def topic(i: int, load: Load) -> str:
    return f"{load.prefix}/{i % load.topics:06d}/temperature"


def value(i: int) -> float:
    """A reading with two decimals; the same i gives the same reading everywhere."""
    return (i * 7919 % 4001) / 100


def payload(i: int) -> bytes:
    return b"%.2f" % value(i)


def publish(name: bytes, body: bytes, qos: int, packet_id: int) -> bytes:
    """A PUBLISH packet (MQTT 3.1.1 section 3.3)."""
    variable = struct.pack(">H", len(name)) + name
    if qos:
        variable += struct.pack(">H", packet_id)
    remaining = len(variable) + len(body)
    length = bytearray()
    while True:
        remaining, digit = divmod(remaining, 128)
        length.append(digit | (128 if remaining else 0))
        if not remaining:
            break
    return bytes([0x30 | qos << 1]) + bytes(length) + variable + body


def connect(client_id: str, token: str) -> bytes:
    """A CONNECT packet with a clean session (MQTT 3.1.1 section 3.1)."""
    variable = b"\0\4MQTT\4\xc2\0\0"
    for text in (client_id, "bench", token):
        variable += struct.pack(">H", len(text)) + text.encode()
    return bytes([0x10, len(variable)]) + variable


class _Connection(asyncio.Protocol):
    """Sends its share in blocks of a quarter of the window, as acknowledgements open it."""

    def __init__(self, load: Load, number: int, ended: asyncio.Future[None]) -> None:
        self._load, self._number, self._ended = load, number, ended
        self._total = len(range(number, load.messages, load.connections))
        self._size = max(1, load.in_flight // 4)
        self._blocks = deque(_blocks(load, number, self._size))
        self._next = 0
        self._acked = self._partial = 0
        self._sent_at: deque[tuple[int, float]] = deque()
        self.waits: list[float] = []
        self._ready = False
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        transport.write(connect(f"bench-{self._number}", self._load.token))

    def data_received(self, data: bytes) -> None:
        if not self._ready:
            assert data[:4] == b"\x20\x02\x00\x00", f"refused: {data!r}"
            self._ready, data = True, data[4:]
        count, self._partial = divmod(self._partial + len(data), _PUBACK)
        self._acked += count
        now = time.perf_counter()
        while self._sent_at and self._sent_at[0][0] <= self._acked:
            self.waits.append(now - self._sent_at.popleft()[1])
        self._send()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send()

    def _send(self) -> None:
        load = self._load
        while self._blocks and not self._paused:
            size = min(self._size, self._total - self._next)
            if load.qos and self._next - self._acked + size > load.in_flight:
                return
            self._next += size
            self._sent_at.append((self._next, time.perf_counter()))
            self._transport.write(self._blocks.popleft())
        if not self._blocks and (not load.qos or self._acked >= self._total):
            self._transport.write(b"\xe0\0")
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._ended.done():
            return
        if not self._blocks and error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error or ConnectionError("the server closed the connection"))


def _itself(connection: "_Connection") -> "_Connection":
    return connection


def _blocks(load: Load, number: int, size: int) -> Iterator[bytes]:
    """All packets of one connection, `size` of them at a time."""
    names = [topic(i, load).encode() for i in range(load.topics)]
    share = range(number, load.messages, load.connections)
    for start in range(0, len(share), size):
        yield b"".join(
            publish(names[i % load.topics], payload(i), load.qos, place % 65535 + 1)
            for place, i in enumerate(share[start : start + size], start)
        )


async def _drive(load: Load) -> Measured:
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(load.connections)]
    connections = [_Connection(load, number, ended) for number, ended in enumerate(ends)]
    began, cpu = time.monotonic(), time.process_time()
    for connection in connections:
        await loop.create_connection(partial(_itself, connection), load.host, load.port)
    await asyncio.gather(*ends)
    waits = [wait for connection in connections for wait in connection.waits]
    return Measured(began, time.monotonic() - began, time.process_time() - cpu, waits)


def _child(load: Load, pipe: "multiprocessing.connection.Connection") -> None:
    pipe.send(uvloop.run(_drive(load)))


def run(load: Load) -> Measured:
    """Send it all from another process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(load, sender))
    child.start()
    sender.close()
    try:
        measured: Measured = receiver.recv()
    except EOFError:
        raise RuntimeError("the load generator failed") from None
    finally:
        child.join()
    return measured
