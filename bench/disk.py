"""What a day of sensor values weighs: random walks with two decimals, one value each ten seconds.

    python -m bench.disk [--topics 200]

The values carry the times at which they were read, so a day is sent in seconds. The journal is
measured twice: with a thousand messages to a request, and with messages that come one by one, as
they do from sensors that have nothing else to say.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import clickhouse_connect
import numpy as np
from tests.server import Server

from bench import load as generator
from bench.apart import apart
from bench.content import weights
from bench.lag import Http
from bench.load import Load
from bench.report import Figures, Report, at_most, disk_bytes
from lakebed.stores.series.opening import open_series

_EVERY = 10  # seconds between two values
_ROUNDS = 86_400 // _EVERY
_LINES = 1000
_SEED = 20
_TRICKLE = 200  # messages a second over all connections
_TRICKLED = 2000
_MERGED = 30.0  # seconds that merges of their own accord may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--topics", type=int, default=200)
    given = parser.parse_args()
    values = _walks(given.topics)
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        day = _day(Path(folder), values)
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        day["journal bytes/msg, one by one"] = _one_by_one(Path(folder))
    Report(
        "disk",
        f"a day of {given.topics} sensors: random walks with two decimals, a value each "
        f"{_EVERY} s, kept by a window policy",
        "python -m bench.disk",
        day,
        [at_most("series bytes/record, merged", 6), at_most("journal bytes/msg", 25)],
    ).show()


def _walks(topics: int) -> Any:
    """float64[rounds, topics], two decimals."""
    steps = np.random.default_rng(_SEED).normal(0, 0.04, (_ROUNDS, topics))
    return np.round(20 + np.cumsum(steps, axis=0), 2)


def _day(home: Path, values: Any) -> Figures:
    rounds, topics = values.shape
    messages = rounds * topics
    began = int(time.time()) - 86_400
    with Server(home) as server:
        server.put_policy(
            name="day", keep="window", topics=["plant/#"], type="number", **{"for": "7d"}
        )
        time.sleep(2)  # until it is in force
        client = Http(server.http_port, server.token)
        jitter = np.random.default_rng(_SEED).integers(0, 1000, values.shape)
        lines = (
            f'{{"topic":"plant/{t:04d}/temperature","value":{values[r, t]:.2f},'
            f'"time":{began + r * _EVERY}.{jitter[r, t]:03d}}}'
            for r in range(rounds)
            for t in range(topics)
        )
        while batch := [line for _, line in zip(range(_LINES), lines, strict=False)]:
            client.ask("POST", "/api/v1/messages/batch", "\n".join(batch).encode())
        client.close()
        flow = server.settle(lambda flow: flow["received"] >= messages)
        assert flow["kept"] == messages, flow
    journal = sum(disk_bytes(path) for path in home.glob("journal.db*"))
    cents = np.rint(values * 100).astype(np.int64).sum(axis=0).tolist()
    merged, forced = apart(_weigh, home, rounds, cents)
    return {
        "messages": messages,
        "journal bytes/msg": journal / messages,
        "series bytes/record, merged": merged / messages,
        "series bytes/record, OPTIMIZE FINAL": forced / messages,
    }


def _weigh(home: Path, rounds: int, cents: list[int]) -> tuple[int, int]:
    """Bytes of the window's parts once merges have come to rest, and after a forced one."""
    series = open_series("chdb:series", home)
    try:
        rows = series.query(
            "SELECT topic, toInt64(count()) AS n, toInt64(round(sum(number) * 100)) AS cents "
            "FROM lakebed.window FINAL GROUP BY topic ORDER BY topic",
            {},
        ).to_pylist()
        assert [(row["n"], row["cents"]) for row in rows] == [(rounds, c) for c in cents]
        until = time.monotonic() + _MERGED
        while time.monotonic() < until and series.query("SELECT 1 FROM system.merges", {}).num_rows:
            time.sleep(0.5)
        merged = weights(series)["window"][1]
        engine = clickhouse_connect.get_client(dsn=f"chdb://{(home / 'series').resolve()}")
        engine.command("OPTIMIZE TABLE lakebed.window FINAL")
        engine.close()
        return merged, weights(series)["window"][1]
    finally:
        series.close()


def _one_by_one(home: Path) -> float:
    """Journal bytes a message where each comes alone; no policy keeps them."""
    with Server(home) as server:
        empty = sum(disk_bytes(path) for path in home.glob("journal.db*"))
        generator.run(
            Load(server.mqtt_port, server.token, _TRICKLED, 200, topics=200, rate=_TRICKLE)
        )
        server.settle(lambda flow: flow["received"] >= _TRICKLED)
    full = sum(disk_bytes(path) for path in home.glob("journal.db*"))
    return max(0, full - empty) / _TRICKLED


if __name__ == "__main__":
    main()
