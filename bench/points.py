"""A plot of much: a month of one topic, reduced to as many points as a screen has columns.

    python -m bench.points [--rows 10000000] [--questions 30]

The records are put into the table before the server starts, as the keeper would have written them,
in the order of time. Then one client asks for all of them, for the last day and for the last hour.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from tests.server import Server

from bench.apart import apart
from bench.lag import Http
from bench.report import Figures, Report, Usage, at_most
from lakebed.kinds.columns import constant
from lakebed.kinds.tables import TYPES
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.times import DAY, SECOND

_TOPIC = "plant/1/temperature"
_BLOCK = 500_000  # rows of one insert
_POINTS = 1_200
_DAYS = 30
_SPANS = {"month": _DAYS * 86_400, "day": 86_400, "hour": 3_600}  # seconds
_POLICY = {"name": "raw", "keep": "window", "for": "40d", "topics": ["plant/#"], "type": "number"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--questions", type=int, default=30, help="of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        home = Path(folder)
        until = int(time.time())
        apart(_preload, home, until, given.rows)
        with Server(home) as server:
            server.put_policies([_POLICY])
            figures = _ask(server, until, given.questions)
    Report(
        "points",
        f"{given.rows / 1e6:g} M records of one topic in {_DAYS} days, {_POINTS:,} points each",
        "python -m bench.points",
        figures,
        [at_most("month p50 ms", 300)],
    ).show()


def _preload(home: Path, until: int, rows: int) -> None:
    home.mkdir(exist_ok=True)
    series = open_series("chdb:series", home)
    numbers = np.random.default_rng(1)
    step = _DAYS * DAY // rows
    try:
        for first in range(0, rows, _BLOCK):
            count = min(_BLOCK, rows - first)
            offset = np.arange(first, first + count)
            micros = (until * SECOND - (rows - offset) * step) // 1000 * 1000
            wave = 20 + 5 * np.sin(offset / rows * _DAYS * 2 * np.pi)
            columns = {
                "owner": constant(count, "admin"),
                "policy": constant(count, "raw"),
                "topic": constant(count, _TOPIC),
                "time": pa.array(micros).cast(pa.timestamp("us", "UTC")),
                "offset": pa.array(offset - 2**40),
                "type": pa.array(np.full(count, TYPES["number"], np.uint8)),
                "number": pa.array(np.round(wave + numbers.normal(0, 0.3, count), 2)),
                "size": pa.array(np.full(count, 5, np.uint32)),
                "expires": pa.array((micros // SECOND + 40 * 86_400).astype(np.uint32)),
            }
            series.write("window", pa.table(columns))
        while series.query("SELECT 1 FROM system.merges", {}).num_rows:
            time.sleep(0.5)
    finally:
        series.close()


def _ask(server: Server, until: int, questions: int) -> Figures:
    http = Http(server.http_port, server.token)
    figures: Figures = {}
    usage = Usage(server.pid)
    before = 0.0
    for name, seconds in _SPANS.items():
        path = (
            f"/api/v1/records?topic={quote(_TOPIC)}&points={_POINTS}"
            f"&from={until - seconds}&to={until}"
        )
        waits = []
        for _ in range(questions):
            began = time.perf_counter()
            answer = http.ask("GET", path)
            waits.append((time.perf_counter() - began) * 1e3)
        rows = json.loads(answer)["records"]
        assert _POINTS * 0.5 < len(rows) <= _POINTS, len(rows)
        waits.sort()
        figures |= {
            f"{name} p50 ms": waits[len(waits) // 2],
            f"{name} max ms": waits[-1],
            f"{name} answer kB": len(answer) / 1e3,
            f"{name} server CPU ms/question": (usage.cpu - before) / questions * 1e3,
        }
        before = usage.cpu
    http.close()
    return figures | {"peak RSS MiB": usage.peak_mib}


if __name__ == "__main__":
    main()
