"""Lakebed itself: joined to the broker by `[[sources]]`, three policies on every topic."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tests.server import Server

from bench.apart import apart
from bench.peers.receiver import TOPICS, WARM, Job, Stored, number
from lakebed import __version__
from lakebed.stores.series.opening import open_series

_SOURCE = """\
[[sources]]
name = "peers"
url = "mqtt://127.0.0.1:{port}"
topics = ["{topics}"]
qos = 1
"""
_FUNCTIONS = ["min", "max", "sum", "avg"]


def _policies(job: Job) -> list[Mapping[str, Any]]:
    """The firehose's three; only the window where only messages are asked for.

    Peers write a window when it ends; a buffer as long as the window comes nearest to that.
    """
    policies: list[Mapping[str, Any]] = [{"name": "hour", "keep": "window", "for": "1h"}]
    if job.period:
        every = f"{job.period}s"
        policies += [
            {
                "name": "aggregate",
                "keep": "aggregate",
                "every": every,
                "functions": _FUNCTIONS,
                "buffer": every,
            },
            {"name": "now", "keep": "last_value", "every": "10s"},
        ]
    return policies


class Lakebed:
    name = "Lakebed"

    def __init__(self, folder: Path, port: int, job: Job) -> None:
        (folder / "lakebed.toml").write_text(_SOURCE.format(port=port, topics=TOPICS))
        self._folder, self._job = folder, job
        self._server = Server(folder)
        self._started = False

    def version(self) -> str:
        return __version__

    def start(self) -> None:
        self._server.start()
        if not self._started:
            for policy in _policies(self._job):
                self._server.put_policy(**policy, topics=[TOPICS], type="number")
        self._started = True

    @property
    def pid(self) -> int:
        return self._server.pid

    def seen(self) -> int:
        kept: int = self._server.flow()["kept"]
        return kept

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._server.kill()

    def stored(self) -> Stored:
        stored: Stored = apart(_stored, self._folder)
        return stored


def _stored(home: Path) -> Stored:
    """Rows of the tables, in a process of its own: an engine path is for one process."""
    series = open_series("chdb:series", home)
    try:
        rows = series.query(
            "SELECT topic, toInt64(round(number * 100)) AS cents FROM lakebed.window FINAL "
            "WHERE NOT startsWith(topic, {warm:String})",
            {"warm": WARM},
        )
        pairs = zip(rows.column("topic").to_pylist(), rows.column("cents").to_pylist(), strict=True)
        messages = np.array([number(topic, cents) for topic, cents in pairs], np.int64)
        total = series.query(
            "SELECT toInt64(sum(count)) AS counted, toInt64(round(sum(sum) * 100)) AS cents "
            "FROM lakebed.aggregate FINAL WHERE NOT startsWith(topic, {warm:String})",
            {"warm": WARM},
        ).to_pylist()[0]
        return Stored(messages, total["counted"], total["cents"])
    finally:
        series.close()
