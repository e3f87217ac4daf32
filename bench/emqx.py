"""EMQX asks who its clients are, at a steady rate, beside an ingest by MQTT in the same process.

    python -m bench.emqx [--rate 2000] [--seconds 20] [--units 2000] [--beside 5000]

Each request is a sign-in of one of the units, over 8 connections as in EMQX's pool, and is sent
when it is due, whatever the answers before it do. The time is from when it was due to its answer.
"""

import argparse
import asyncio
import tempfile
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from tests.server import Server

from bench import load as generator
from bench.apart import apart
from bench.load import Load
from bench.report import Report, Usage, at_most
from bench.units import make_units
from lakebed.runtime.settings import load as load_settings
from lakebed.stores.opening import open_catalog
from lakebed.vocabulary.credentials import new_secret

_CONNECTIONS = 8
_SECRET = "secret-of-this-benchmark"
_TICK = 0.0005  # seconds; what fell due since the last tick is sent together


class Pool(asyncio.Protocol):
    """One connection: requests go out when they are due, answers come in their order."""

    def __init__(self, waits: list[float]) -> None:
        self._due: deque[float] = deque()
        self._waits = waits
        self._buffer = b""
        self.bad = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, request: bytes, due: float) -> None:
        self._due.append(due)
        self._transport.write(request)

    @property
    def owed(self) -> int:
        return len(self._due)

    def data_received(self, data: bytes) -> None:
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


async def ask(port: int, tokens: list[str], rate: float, seconds: float) -> tuple[list[float], int]:
    """The waits of all requests, and how many were not allowed."""
    loop = asyncio.get_running_loop()
    waits: list[float] = []
    pools = [
        (await loop.create_connection(lambda: Pool(waits), "127.0.0.1", port))[1]
        for _ in range(_CONNECTIONS)
    ]
    requests = [_request(number, token) for number, token in enumerate(tokens)]
    for number, request in enumerate(requests):  # the first sign-in of each looks it up
        pools[number % _CONNECTIONS].ask(request, time.perf_counter())
        if number % 50 == 49:
            await asyncio.sleep(0.02)
    await _answered(pools)
    waits.clear()
    began, sent, count = time.perf_counter(), 0, int(rate * seconds)
    while sent < count:
        due = min(count, int((time.perf_counter() - began) * rate))
        for number in range(sent, due):
            moment = began + number / rate
            pools[number % _CONNECTIONS].ask(requests[number % len(requests)], moment)
        sent = max(sent, due)
        await asyncio.sleep(_TICK)
    await _answered(pools)
    return waits, sum(pool.bad for pool in pools)


async def _answered(pools: list[Pool]) -> None:
    while any(pool.owed for pool in pools):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


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
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        url = f"sqlite:{folder}/catalog.db"
        make_units(url, given.units)
        tokens = give_tokens(url)
        settings = {"CATALOG__URL": url, "AUTH__EMQX_SECRET": _SECRET}
        with Server(Path(folder) / "home", settings) as server, ThreadPoolExecutor(1) as pool:
            load = Load(
                server.mqtt_port, server.token, int(given.beside * given.seconds * 1.5), 4, 200,
                rate=given.beside,
            )  # fmt: skip
            beside = pool.submit(generator.run, load) if given.beside else None
            usage = Usage(server.pid)
            waits, bad = apart(ask, server.http_port, tokens, given.rate, given.seconds)
            cpu = usage.cpu
            if beside is not None:
                beside.result()
    waits.sort()
    Report(
        "emqx",
        f"{given.rate:,.0f} requests/s, {given.units:,} units, {given.beside:,.0f} msg/s beside",
        "python -m bench.emqx",
        {
            "requests": len(waits),
            "not allowed": bad,
            "p50 ms": waits[len(waits) // 2] * 1e3,
            "p99 ms": waits[int(len(waits) * 0.99)] * 1e3,
            "max ms": waits[-1] * 1e3,
            "server CPU s": cpu,
        },
        [at_most("p99 ms", 2)],
    ).show()


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
