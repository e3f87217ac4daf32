"""EMQX asks who its clients are, at a steady rate, beside an ingest by MQTT in the same process.

    python -m bench.emqx [--rate 2000] [--seconds 20] [--units 2000] [--beside 5000]

Each request is a sign-in of one of the units, over 8 connections as in EMQX's pool, and is sent
when it is due, whatever the answers before it do. The time is from when it was due to its answer.
The same is then asked of a server that only answers (`bench.bare`): that is the machine's part.
"""

import argparse
import select
import socket
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.server import Server

from bench import load as generator
from bench.apart import apart
from bench.bare import serving
from bench.load import Load
from bench.report import Report, Usage, at_most
from bench.units import make_units
from lakebed.runtime.settings import load as load_settings
from lakebed.stores.opening import open_catalog
from lakebed.vocabulary.credentials import new_secret

_CONNECTIONS = 8
_SECRET = "secret-of-this-benchmark"
_BODY = b'{"result":"allow","is_superuser":false,"client_attrs":{"owner":"admin"},"acl":[]}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_BODY), _BODY,
)  # fmt: skip


class Pool:
    """One connection: requests go out when they are due, answers come in their order."""

    def __init__(self, port: int, waits: list[float]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._due: deque[float] = deque()
        self._waits = waits
        self._buffer = b""
        self.bad = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def ask(self, request: bytes, due: float) -> None:
        self._due.append(due)
        self._socket.sendall(request)

    @property
    def owed(self) -> int:
        return len(self._due)

    def read(self) -> None:
        data = self._socket.recv(2**18)
        assert data, "the server closed a connection"
        self._buffer += data
        while (edge := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:edge].lower()
            size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._buffer) < edge + 4 + size:
                return
            body = self._buffer[edge + 4 : edge + 4 + size]
            self._buffer = self._buffer[edge + 4 + size :]
            self._waits.append(time.perf_counter() - self._due.popleft())
            self.bad += not body.startswith(b'{"result":"allow"')


@dataclass(frozen=True, slots=True)
class Asked:
    """Attributes:
    waits: of all requests, from when they were due to their answers, in seconds.
    late: how long after it was due each was sent: what the generator itself adds.
    bad: how many were not allowed.
    """

    waits: list[float]
    late: list[float]
    bad: int


def ask(port: int, tokens: list[str], rate: float, seconds: float) -> Asked:
    """Waits by `select`, whose time-out has microseconds; that of epoll has milliseconds."""
    waits: list[float] = []
    late: list[float] = []
    pools = [Pool(port, waits) for _ in range(_CONNECTIONS)]
    requests = [_request(number, token) for number, token in enumerate(tokens)]
    for number, request in enumerate(requests):  # the first sign-in of each looks it up
        pools[number % _CONNECTIONS].ask(request, time.perf_counter())
        if number % 50 == 49:
            _read(pools, 0.02)
    _answered(pools)
    waits.clear()
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        while (left := due - time.perf_counter()) > 0:
            _read(pools, left)
        late.append(-left)
        pools[number % _CONNECTIONS].ask(requests[number % len(requests)], due)
    _answered(pools)
    return Asked(waits, late, sum(pool.bad for pool in pools))


def _answered(pools: list[Pool]) -> None:
    while any(pool.owed for pool in pools):
        _read(pools, 1.0)


def _read(pools: list[Pool], seconds: float) -> None:
    for pool in select.select(pools, (), (), seconds)[0]:
        pool.read()


def _request(number: int, token: str) -> bytes:
    body = f'{{"clientid":"c{number}","username":"","password":"{token}"}}'.encode()
    return (
        b"POST /api/v1/auth/emqx/authn HTTP/1.1\r\nhost: lake\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (_SECRET.encode(), len(body), body)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--units", type=int, default=2000)
    parser.add_argument("--beside", type=float, default=5000, help="messages a second by MQTT")
    given = parser.parse_args()
    load = Load(
        0, "none", int(given.beside * (given.seconds + 3)), 4, 200, rate=given.beside
    )  # fmt: skip
    times = given.rate, given.seconds
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        url = f"sqlite:{folder}/catalog.db"
        make_units(url, given.units)
        tokens = give_tokens(url)
        settings = {"CATALOG__URL": url, "AUTH__EMQX_SECRET": _SECRET}
        with Server(Path(folder) / "home", settings) as server:
            usage = Usage(server.pid)
            onto = replace(load, port=server.mqtt_port, token=server.token)
            asked = _beside(onto, server.http_port, tokens, *times)
            cpu = usage.cpu
    with serving(_ANSWER) as server:
        floor = _beside(replace(load, port=server.mqtt_port), server.http_port, tokens, *times)
    Report(
        "emqx",
        f"{given.rate:,.0f} requests/s, {given.units:,} units, {given.beside:,.0f} msg/s beside",
        "python -m bench.emqx",
        {
            "requests": len(asked.waits),
            "not allowed": asked.bad,
            "p50 ms": _part(asked.waits, 0.5),
            "p99 ms": _part(asked.waits, 0.99),
            "max ms": _part(asked.waits, 1),
            "sent too late, p99 ms": _part(asked.late, 0.99),
            "server CPU s": cpu,
            "bare server: p50 ms": _part(floor.waits, 0.5),
            "bare server: p99 ms": _part(floor.waits, 0.99),
            "bare server: max ms": _part(floor.waits, 1),
            "bare server: sent too late, p99 ms": _part(floor.late, 0.99),
        },
        [at_most("p99 ms", 2)],
    ).show()


def _beside(load: Load, port: int, tokens: list[str], rate: float, seconds: float) -> Asked:
    """Ask while messages arrive."""
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(generator.run, load) if load.rate else None
        asked: Asked = apart(ask, port, tokens, rate, seconds)
        if beside is not None:
            beside.result()
    return asked


def _part(waits: list[float], part: float) -> float:
    """The wait that this part of them does not exceed, ms."""
    return sorted(waits)[min(int(len(waits) * part), len(waits) - 1)] * 1e3


def give_tokens(url: str) -> list[str]:
    """A token for each unit."""
    catalog = open_catalog(load_settings(None, {}, {"catalog": {"url": url}}))
    try:
        tokens = []
        with catalog.transaction():
            for unit in catalog.units():
                tokens.append(new_secret())
                catalog.add_unit_token(unit.uuid, tokens[-1])
        return tokens
    finally:
        catalog.close()


if __name__ == "__main__":
    main()
