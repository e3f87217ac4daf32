"""What it costs the server that people look on: open pages with live values.

python -m bench.pages [--pages 200] [--rate 30000] [--pairs 5]
python -m bench.pages --firehose [--messages 2000000]

    load at a steady rate ──────────────────────────────────────────────────
    pages            none │ open │ none │ open │ …      CPU of the server in each

Pages look at the same hundred topics in a few groups, as people at the same pages do. They read
what they are sent as cheaply as can be, in a process of their own, which takes its share of the
machine. With --firehose runs without and with pages follow each other in turn, at full speed.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import uvloop
from tests.server import Server

from bench import load as generator
from bench.apart import raise_file_limit
from bench.load import Load, topic
from bench.report import Figures, Report, Usage, at_least, at_most
from bench.trial import POLICIES, Trial

_IN_SIGHT = 100  # topics of a page
_GROUPS = 4  # of pages that look at the same
_SETTLE = 2.0  # seconds until pages are open, or gone, and the server has taken note


class _Page(asyncio.Protocol):
    """Asks for a stream, and counts what comes."""

    def __init__(self, request: bytes, counted: list[int]) -> None:
        self._request, self._counted = request, counted
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            assert data.startswith(b"HTTP/1.1 200"), data[:300]
            self.opened.set_result(None)
        self._counted[0] += len(data)
        self._counted[1] += data.count(b"data:")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("the server closed the stream"))


def _requests(server: Server, load: Load) -> list[bytes]:
    found = []
    for group in range(_GROUPS):
        start = group * _IN_SIGHT
        body = json.dumps({"filters": [topic(start + i, load) for i in range(_IN_SIGHT)]}).encode()
        head = (
            f"POST /live HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {server.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


def _look(
    port: int, requests: list[bytes], pages: int, told: "Queue[Any]", end: "Queue[Any]"
) -> None:
    """A process: pages look on until something comes through `end`; tells events, bytes, CPU."""

    async def look() -> None:
        loop = asyncio.get_running_loop()
        counted = [0, 0]
        opened = []
        for number in range(pages):
            request = requests[number % len(requests)]
            opened.append(
                await loop.create_connection(partial(_Page, request, counted), "127.0.0.1", port)
            )
        await asyncio.gather(*(page.opened for _, page in opened))
        told.put("open")
        began = time.process_time()
        await asyncio.to_thread(end.get)
        told.put((counted[1], counted[0], time.process_time() - began))
        for transport, _ in opened:
            transport.abort()

    raise_file_limit()
    uvloop.run(look())


class Pages:
    """Open pages: a context.

    Attributes:
        events, bytes, cpu: of all of them, after its end.
    """

    def __init__(self, server: Server, load: Load, pages: int) -> None:
        context = get_context("spawn")
        self._told, self._end = context.Queue(), context.Queue()
        arguments = server.http_port, _requests(server, load), pages, self._told, self._end
        self._process = context.Process(target=_look, args=arguments)
        self.events = self.bytes = 0
        self.cpu = 0.0

    def __enter__(self) -> "Pages":
        self._process.start()
        assert self._told.get(timeout=120) == "open"
        return self

    def __exit__(self, *error: object) -> None:
        self._end.put(None)
        self.events, self.bytes, self.cpu = self._told.get(timeout=60)
        self._process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=int, default=30_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=10, help="of each half of a pair")
    parser.add_argument("--firehose", action="store_true")
    parser.add_argument("--messages", type=int, default=2_000_000, help="of a firehose")
    given = parser.parse_args()
    raise_file_limit()  # the server inherits it
    if given.firehose:
        _firehose(given.pages, given.messages, given.pairs).show()
    else:
        _steady(given.pages, given.rate, given.pairs, given.seconds).show()


def _steady(pages: int, rate: int, pairs: int, seconds: int) -> Report:
    whole = (2 * pairs * (seconds + 2 * _SETTLE + 2)) + 10
    with (
        tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder,
        Server(Path(folder)) as server,
        ThreadPoolExecutor(1) as beside,
    ):
        for policy in POLICIES:
            server.put_policy(**policy, topics=["plant/#"], type="number")
        load = Load(
            server.mqtt_port, server.token, int(rate * whole), 50, topics=1_000, rate=rate,
        )  # fmt: skip
        memory = _memory(server, load, pages)
        sending = beside.submit(generator.run, load)
        time.sleep(5)
        halves: list[_Spent] = []
        events, size, readers = 0, 0, 0.0
        for _ in range(pairs):
            halves.append(_spend(server, seconds))
            looking = Pages(server, load, pages)
            with looking:
                time.sleep(_SETTLE)
                halves.append(_spend(server, seconds))
            events += looking.events
            size += looking.bytes
            readers += looking.cpu
            time.sleep(_SETTLE)
        sent = sending.result()
    costs = [b.python - a.python for a, b in zip(halves[::2], halves[1::2], strict=True)]
    return Report(
        "pages",
        f"{pages} open pages of {_IN_SIGHT} live topics at {rate:,} msg/s on 1,000 topics, "
        f"{pairs} pairs of {seconds} s",
        "python -m bench.pages",
        {
            "loop and pools %, without": statistics.median(one.python for one in halves[::2]),
            "loop and pools %, with pages": statistics.median(one.python for one in halves[1::2]),
            "cost of the pages, % of a core": statistics.median(costs),
            "the least of a pair": min(costs),
            "the most of a pair": max(costs),
            "server CPU %, without": statistics.median(one.whole for one in halves[::2]),
            "server CPU %, with pages": statistics.median(one.whole for one in halves[1::2]),
            "events sent": events,
            "bytes an event": size / max(events, 1),
            "CPU of the readers, s": readers,
            "generator behind ms": sent.behind * 1e3,
            **memory,
        },
        [at_most("cost of the pages, % of a core", 1)],
    )


@dataclass(frozen=True, slots=True)
class _Spent:
    """Percent of a core: of the whole server, and of its event loop and thread pools.

    All that pages cost is spent in the latter. Merges of the engine, which come and go, are not.
    """

    whole: float
    python: float


def _spend(server: Server, seconds: int) -> _Spent:
    usage, began, python = Usage(server.pid), time.monotonic(), _python(server.pid)
    time.sleep(seconds)
    passed = time.monotonic() - began
    return _Spent(usage.cpu / passed * 100, (_python(server.pid) - python) / passed * 100)


def _python(pid: int) -> float:
    """CPU seconds of the threads that have no name of their own: others belong to the engine, the
    keeper and the journal."""
    tasks = Path(f"/proc/{pid}/task")
    name = (tasks / str(pid) / "comm").read_text()
    nanoseconds = 0
    for task in tasks.iterdir():
        with suppress(OSError):
            if (task / "comm").read_text() == name:
                nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def _memory(server: Server, load: Load, pages: int) -> Figures:
    """What open pages take while nothing arrives. The first ones also load what all need."""
    with Pages(server, load, 10):
        time.sleep(_SETTLE)
    usage = Usage(server.pid)
    before = usage.rss_mib
    with Pages(server, load, pages):
        time.sleep(_SETTLE)
        grown = usage.rss_mib - before
    time.sleep(_SETTLE)
    return {"memory of a page KiB": grown * 1024 / pages}


def _firehose(pages: int, messages: int, pairs: int) -> Report:
    rates: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * pairs):
        looked_at = number % 4 in (1, 2)  # without, with, with, without: drift hits both alike
        rates[looked_at].append(_rate(pages if looked_at else 0, messages))
    ratios = [b / a for a, b in zip(rates[False], rates[True], strict=True)]
    return Report(
        "pages-firehose",
        f"the firehose without and with {pages} open pages, {pairs} pairs",
        "python -m bench.pages --firehose",
        {
            "stored msg/s without": statistics.median(rates[False]),
            "stored msg/s with pages": statistics.median(rates[True]),
            "with to without": statistics.median(ratios),
            "the least of a pair": min(ratios),
            "the most of a pair": max(ratios),
        },
        [at_least("with to without", 0.98)],
    )


def _rate(pages: int, messages: int) -> float:
    def load(server: Server) -> Load:
        return Load(server.mqtt_port, server.token, messages, 4, 200, 1_000, 1)

    def look(server: Server) -> Callable[[], Figures]:
        looking = Pages(server, load(server), pages)
        looking.__enter__()

        def end() -> Figures:
            looking.__exit__()
            return {"events": looking.events}

        return end

    figures = Trial(load, beside=look if pages else None).run()
    return float(figures["stored msg/s"])


if __name__ == "__main__":
    main()
