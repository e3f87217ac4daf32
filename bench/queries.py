"""Reading while it pours: pages, aggregates and last values beside much data and an ingest.

    python -m bench.queries [--rows 50000000] [--seconds 60]

The rows are put into the tables before the server starts, as the keeper would have written them,
block by block in the order of time. Then one client asks four kinds of questions in turn, each
of a topic at random: first while nothing arrives, then while messages arrive at a steady rate.
"""

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from tests.server import Server

from bench import load as generator
from bench.apart import apart
from bench.lag import Http
from bench.load import Load, topic
from bench.report import Figures, Report, Usage, at_least, at_most
from lakebed.kinds.tables import TYPES
from lakebed.stores.series.clickhouse.client import ClickHouseSeries
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.times import SECOND

_TOPICS = 1000
_BLOCK = 1_000_000  # rows of one insert
_STEP = 10  # seconds between two raw records of a topic
_QUARTER = 900  # seconds
_DAYS = 30
_QUARTERS = _DAYS * 86_400 // _QUARTER  # windows of one topic
_RATE = 30_000  # messages a second during the questions
_ALONE = 10  # seconds of questions before
_POLICIES = (
    {"name": "raw", "keep": "window", "for": "30d"},
    {
        "name": "quarters",
        "keep": "aggregate",
        "every": "15m",
        "functions": ["min", "max", "sum", "avg"],
    },
    {"name": "now", "keep": "last_value", "every": "10s"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rows", type=int, default=50_000_000, help="of the window; aggregates: a fifth"
    )
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        home = Path(folder)
        began = time.monotonic()
        topics = max(_TOPICS, given.rows // 5 // _QUARTERS)
        apart(_preload, home, int(time.time()) // _QUARTER * _QUARTER, given.rows, topics)
        preloaded = time.monotonic() - began
        with Server(home) as server:
            figures = _ask_while_it_pours(server, given.seconds, topics)
    Report(
        "queries",
        f"{given.rows / 1e6:g} M window rows and {topics * _QUARTERS / 1e6:.1f} M aggregates "
        f"present, {_RATE:,} msg/s arriving for {given.seconds} s",
        "python -m bench.queries",
        {"preloaded in s": preloaded, **figures},
        [
            at_least("ingest acknowledged msg/s", 0.99 * _RATE),
            at_most("page of 1,000 rows p99 ms", 50),
            at_most("30 days of 15 m aggregates p99 ms", 50),
            at_most("last value p99 ms", 10),
        ],
    ).show()


# --- what is there before -------------------------------------------------------------------------


def _preload(home: Path, until: int, rows: int, topics: int) -> None:
    home.mkdir(exist_ok=True)
    series = open_series("chdb:series", home)
    try:
        names = pa.array([_name(t) for t in range(topics)])
        _records(series, names, until, rows)
        _windows(series, names, until, topics)
        while series.query("SELECT 1 FROM system.merges", {}).num_rows:
            time.sleep(0.5)
    finally:
        series.close()


def _records(series: ClickHouseSeries, names: pa.Array, until: int, rows: int) -> None:
    """A record of each of the first `_TOPICS` topics every `_STEP` seconds up to now."""
    moments = _BLOCK // _TOPICS
    total = rows // _TOPICS
    numbers = np.random.default_rng(1)
    for first in range(0, total, moments):
        count = min(moments, total - first)
        seconds = until - (total - first - np.arange(count)) * _STEP
        n = count * _TOPICS
        time_us = np.tile(seconds * SECOND, _TOPICS)
        columns = _owned("raw", names, np.repeat(np.arange(_TOPICS), count)) | {
            "time": pa.array(time_us).cast(pa.timestamp("us", "UTC")),
            "offset": pa.array(np.arange(first * _TOPICS, first * _TOPICS + n) - 2**40),
            "type": pa.array(np.full(n, TYPES["number"], np.uint8)),
            "number": pa.array(np.round(numbers.normal(20, 3, n), 2)),
            "size": pa.array(np.full(n, 5, np.uint32)),
            "expires": pa.array((time_us // SECOND + _DAYS * 86_400).astype(np.uint32)),
        }
        series.write("window", pa.table(columns))


def _windows(series: ClickHouseSeries, names: pa.Array, until: int, topics: int) -> None:
    """Complete windows of a quarter of an hour for every topic, for the days before now."""
    numbers = np.random.default_rng(2)
    together = _BLOCK // _QUARTERS
    for first in range(0, topics, together):
        codes = np.repeat(np.arange(first, min(first + together, topics)), _QUARTERS)
        n = len(codes)
        start = np.tile(until - (_QUARTERS - np.arange(_QUARTERS)) * _QUARTER, n // _QUARTERS)
        low = np.round(numbers.normal(18, 2, n), 2)
        columns = _owned("quarters", names, codes) | {
            "start": pa.array(start.astype(np.uint32)),
            "end": pa.array((start + _QUARTER).astype(np.uint32)),
            "fragment": pa.array(np.arange(n) - 2**40),
            "version": pa.array(np.full(n, 1)),
            "complete": pa.array(np.ones(n, np.uint8)),
            "count": pa.array(np.full(n, 90, np.uint64)),
            "first_time": pa.array(start * SECOND).cast(pa.timestamp("us", "UTC")),
            "last_time": pa.array((start + 890) * SECOND).cast(pa.timestamp("us", "UTC")),
            "sum": pa.array(low * 90 + 90),
            "min": pa.array(low),
            "max": pa.array(low + 2),
            "mean": pa.array(low + 1),
            "size": pa.array(np.full(n, 80, np.uint32)),
            "expires": pa.array(np.full(n, 2**32 - 1, np.uint32)),
        }
        series.write("aggregate", pa.table(columns))


def _owned(policy: str, names: pa.Array, codes: Any) -> dict[str, Any]:
    n = len(codes)
    same = pa.array(np.zeros(n, np.int32))
    return {
        "owner": pa.DictionaryArray.from_arrays(same, pa.array(["admin"])),
        "policy": pa.DictionaryArray.from_arrays(same, pa.array([policy])),
        "topic": pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names),
        "partition": pa.array(np.zeros(n, np.uint32)),
    }


def _name(t: int) -> str:
    return topic(t, Load(0, "", 0, topics=10**6))


# --- the questions --------------------------------------------------------------------------------


def _ask_while_it_pours(server: Server, seconds: int, topics: int) -> Figures:
    for policy in _POLICIES:
        server.put_policy(**policy, topics=["plant/#"], type="number")
    time.sleep(2)  # until they are in force
    # all topics have a last value before anybody asks for it
    generator.run(Load(server.mqtt_port, server.token, topics, topics=topics))
    server.settle(lambda flow: flow["received"] >= topics)
    alone = _Asker(server, topics)
    usage = Usage(server.pid)
    alone.start()
    time.sleep(_ALONE)
    quiet = alone.finish()
    each = usage.cpu / sum(map(len, quiet.values()))
    load = Load(server.mqtt_port, server.token, _RATE * seconds, 100, topics=_TOPICS, rate=_RATE)
    usage = Usage(server.pid)
    asker = _Asker(server, topics)
    asker.start()
    sent = generator.run(load)
    threads, cpu = usage.by_thread(load.messages), usage.cpu
    waits = asker.finish()
    flow = server.settle(lambda flow: flow["received"] >= topics + load.messages)
    assert flow["kept"] == topics + load.messages, flow
    figures: Figures = {
        "ingest acknowledged msg/s": load.messages / sent.seconds,
        "ingest ack p99 ms": sent.wait(0.99) * 1e3,
        "questions": sum(map(len, waits.values())),
    }
    figures |= _shares(waits, "")
    figures |= _shares(quiet, ", nothing arriving")
    return figures | {
        "server CPU ms/question, nothing arriving": each * 1e3,
        "server CPU µs/msg, questions included": cpu / load.messages * 1e6,
        **threads,
        "generator CPU µs/msg": sent.cpu / load.messages * 1e6,
        "peak RSS MiB": usage.peak_mib,
    }


def _shares(waits: dict[str, list[float]], when: str) -> Figures:
    figures: Figures = {}
    for name, found in waits.items():
        ordered = sorted(found)
        for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
            place = min(len(ordered) - 1, int(share * len(ordered)))
            figures[f"{name} {label} ms{when}"] = ordered[place] * 1e3
    return figures


class _Asker(threading.Thread):
    """One client that asks without pause, each kind of question in turn, until it is stopped."""

    def __init__(self, server: Server, topics: int) -> None:
        super().__init__(daemon=True)
        self._http = Http(server.http_port, server.token)
        self._random = random.Random(7)
        self._stopping = threading.Event()
        self._error: Exception | None = None
        now = time.time()
        records, last = "/api/v1/records?limit={}&topic={}&policy={}", "/api/v1/last?topic={}"
        self._questions: dict[str, tuple[Callable[[], str], int]] = {
            "page of 1,000 rows": (
                lambda: records.format(1000, self._topic(_TOPICS), "raw"), 1000,
            ),
            "newest 1,000 rows": (
                lambda: records.format(1000, self._topic(_TOPICS), "raw") + "&order=desc", 1000,
            ),
            "30 days of 15 m aggregates": (
                lambda: records.format(3000, self._topic(topics), "quarters")
                + f"&from={now - _DAYS * 86_400:.0f}",
                _QUARTERS - 1,
            ),
            "last value": (lambda: last.format(self._topic(topics)), 1),
        }  # fmt: skip
        self.waits: dict[str, list[float]] = {name: [] for name in self._questions}

    def _topic(self, topics: int) -> str:
        return quote(_name(self._random.randrange(topics)))

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                for name, (question, rows) in self._questions.items():
                    path = question()
                    began = time.perf_counter()
                    answer = self._http.ask("GET", path)
                    self.waits[name].append(time.perf_counter() - began)
                    found = len(json.loads(answer)["records"])
                    assert found >= rows, f"{path}: {found} records"
        except Exception as error:
            self._error = error

    def finish(self) -> dict[str, list[float]]:
        self._stopping.set()
        self.join()
        self._http.close()
        if self._error is not None:
            raise self._error
        return self.waits


if __name__ == "__main__":
    main()
