"""What the machine leaves: a server that only answers, under the loads of other scenarios.

    python -m bench.bare [--seconds 20]

No journal, no policies, no topics: a few lines on the same event loop that read a PUBLISH and send
its PUBACK, or a POST and send one answer to all (`python -m bench.emqx`). What it costs, system
calls and the generator included, is the floor of any server written like this; the distance to it
is what Lakebed does for a message.
"""

import argparse
import asyncio
import multiprocessing
import multiprocessing.synchronize
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import uvloop

from bench import load as generator
from bench.apart import raise_file_limit
from bench.load import Load
from bench.report import Figures, Report, Usage

_CONNACK, _PUBACK = b"\x20\x02\x00\x00", b"\x40\x02\x00\x01"
_FLEET, _CROWD, _EACH = 1000, 10_000, 3
_FIREHOSE, _IN_FLIGHT = 3_000_000, 200


class Answering(asyncio.Protocol):
    """Answers CONNECT, and each PUBLISH at the end of the loop's turn; packets are of one size."""

    def __init__(self, due: list[tuple[asyncio.Transport, int]]) -> None:
        self._due = due
        self._size = self._rest = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._size:
            self._size = -1
            self._transport.write(_CONNACK)
            return
        if self._size < 0:
            self._size = data[1] + 2
        if not self._due:
            asyncio.get_running_loop().call_soon(self._answer)
        count, self._rest = divmod(self._rest + len(data), self._size)
        self._due.append((self._transport, count))

    def _answer(self) -> None:
        for transport, count in self._due:
            if not transport.is_closing():
                transport.write(_PUBACK * count)
        self._due.clear()


class AnsweringPosts(asyncio.Protocol):
    """Gives the same answer to each POST; their heads and bodies are not looked at."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer * data.count(b"POST "))


Listening = tuple[socket.socket, socket.socket]


def _serve(listening: Listening, ready: multiprocessing.synchronize.Event, answer: bytes) -> None:
    raise_file_limit()
    uvloop.run(_answer_all(*listening, ready, answer))


async def _answer_all(
    mqtt: socket.socket,
    http: socket.socket,
    ready: multiprocessing.synchronize.Event,
    answer: bytes,
) -> None:
    due: list[tuple[asyncio.Transport, int]] = []
    loop = asyncio.get_running_loop()
    async with (
        await loop.create_server(lambda: Answering(due), sock=mqtt, backlog=1024),
        await loop.create_server(lambda: AnsweringPosts(answer), sock=http),
    ):
        ready.set()
        await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class Bare:
    """A running server: its ports and its process."""

    mqtt_port: int
    http_port: int
    pid: int


@contextmanager
def serving(answer: bytes = b"") -> Iterator[Bare]:
    """Run the server in a process of its own.

    Args:
        answer: what it answers each POST.
    """
    context = multiprocessing.get_context("spawn")
    local = ("127.0.0.1", 0)
    with socket.create_server(local) as mqtt, socket.create_server(local) as http:
        ports, ready = (mqtt.getsockname()[1], http.getsockname()[1]), context.Event()
        server = context.Process(target=_serve, args=((mqtt, http), ready, answer), daemon=True)
        server.start()
    try:
        assert ready.wait(30), "the server does not come up"
        assert server.pid is not None
        yield Bare(*ports, server.pid)
    finally:
        server.terminate()
        server.join()


def _measured(
    name: str, messages: int, connections: int, in_flight: int = 1, rate: float = 0.0
) -> Figures:
    with serving() as bare:
        usage = Usage(bare.pid)
        topics = max(connections, 1000)
        load = Load(bare.mqtt_port, "bare", messages, connections, in_flight, topics, rate=rate)
        sent = generator.run(load)
        threads = usage.by_thread(messages)
        return {
            f"{name}: acknowledged msg/s": messages / sent.seconds,
            f"{name}: server CPU µs/msg": usage.cpu / messages * 1e6,
            f"{name}: of it in the kernel %": threads["event loop: in the kernel %"],
            f"{name}: generator CPU µs/msg": sent.cpu / messages * 1e6,
            f"{name}: ack p50 ms": sent.wait(0.5) * 1e3,
            f"{name}: ack p99 ms": sent.wait(0.99) * 1e3,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=_CROWD, help="of the crowd")
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    rate = given.connections * _EACH
    Report(
        "bare",
        "a server that only answers, under the loads of firehose, fleet and crowd",
        "python -m bench.bare",
        _measured("firehose", _FIREHOSE, 4, _IN_FLIGHT)
        | _measured("fleet", given.seconds * 30_000, _FLEET)
        | _measured("crowd", rate * given.seconds, given.connections, rate=rate),
    ).show()


if __name__ == "__main__":
    main()
