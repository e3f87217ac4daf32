"""Questions about the events of one day: conditions on fields, with an index and without.

    python -m bench.events_read [--events 10000000] [--questions 40]

The events are put into the table before the server starts, as the keeper would have written them,
in blocks of ten names, 100,000 users and 1,000,000 tracks at random. Then one client asks over HTTP
for pages of 100 events and for counts. An index is added to the policy meanwhile, in place.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.server import Server

from bench.apart import apart
from bench.report import Figures, Report, at_most
from lakebed.kinds.columns import constant
from lakebed.kinds.tables import TYPES
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.times import DAY, SECOND

_BLOCK = 500_000  # rows of one insert
_USERS, _TRACKS = 100_000, 1_000_000
_NAMES = ("play", "pause", "skip", "like", "search", "login", "logout", "buy", "view", "share")
_POLICY = {"name": "events", "topics": ["events/#"], "type": "json", "keep": "archive"}
_INDEX = ["user_id", "track_id"]
_INDEXED = 600.0  # seconds that indexing what is there may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--questions", type=int, default=40, help="of each kind")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakebed-bench-") as folder:
        home = Path(folder)
        day = int(time.time()) * SECOND // DAY * DAY - DAY
        apart(_preload, home, day, given.events)
        with Server(home) as server:
            figures = _ask(server, given.questions)
    Report(
        "events-read",
        f"{given.events / 1e6:g} M events of one day, {given.questions} questions of each kind",
        "python -m bench.events_read",
        figures,
        [
            at_most("where user_id:eq, indexed, p50 ms", 300),
            at_most("where track_id:eq, indexed, p50 ms", 300),
            at_most("where user_id:in, indexed, p50 ms", 300),
            at_most("where user_id:eq, one name, indexed, p50 ms", 300),
            at_most("counts of a user by name, indexed, p50 ms", 300),
        ],
    ).show()


# --- what is there before -------------------------------------------------------------------------


def _preload(home: Path, day: int, events: int) -> None:
    home.mkdir(exist_ok=True)
    series = open_series("chdb:series", home)
    try:
        numbers = np.random.default_rng(1)
        for first in range(0, events, _BLOCK):
            series.write(
                "archive", _block(numbers, day, first, min(_BLOCK, events - first), events)
            )
        while series.query("SELECT 1 FROM system.merges", {}).num_rows:
            time.sleep(0.5)
    finally:
        series.close()


def _block(numbers: np.random.Generator, day: int, first: int, n: int, events: int) -> pa.Table:
    names = numbers.integers(0, len(_NAMES), n)
    users = numbers.integers(0, _USERS, n)
    tracks = numbers.integers(0, _TRACKS, n)
    at = day + (np.arange(first, first + n) * (DAY / events)).astype(np.int64)
    texts = [
        f'{{"name":"{_NAMES[name]}","user_id":{user},"track_id":"t{track}",'
        f'"seconds":{user % 300},"device":"phone","session":"{user:08x}{track:08x}"}}'
        for name, user, track in zip(names.tolist(), users.tolist(), tracks.tolist(), strict=True)
    ]
    topics = pa.array([f"events/{name}" for name in _NAMES])
    moments = pa.array(at).cast(pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "owner": constant(n, "admin"),
            "policy": constant(n, "events"),
            "topic": pa.DictionaryArray.from_arrays(pa.array(names.astype(np.int32)), topics),
            "time": moments,
            "received": moments,
            "stored": pa.array(at + SECOND // 4).cast(pa.timestamp("us", "UTC")),
            "partition": pa.array(np.zeros(n, np.uint32)),
            "offset": pa.array(np.arange(first, first + n) - 2**40),
            "type": pa.array(np.full(n, TYPES["json"], np.uint8)),
            "text": pa.array(texts),
            "size": pa.array(np.full(n, 120, np.uint32)),
        }
    )


# --- questions ------------------------------------------------------------------------------------


def _ask(server: Server, questions: int) -> Figures:
    server.put_policies([_POLICY])
    chance = random.Random(2)

    def user() -> str:
        return str(chance.randrange(_USERS))

    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "where user_id:eq": lambda: {"where": f"user_id:eq:{user()}"},
        "where track_id:eq": lambda: {"where": f"track_id:eq:t{chance.randrange(_TRACKS)}"},
        "where user_id:in": lambda: {"where": f"user_id:in:{user()},{user()}"},
        "where user_id:eq, one name": lambda: {"where": f"user_id:eq:{user()}", "name": "play"},
        "where user_id:gt": lambda: {"where": f"user_id:gt:{_USERS - 100}"},
        "newest without a condition": dict,
    }
    counts: dict[str, Callable[[], dict[str, Any]]] = {
        "counts of a user by name": lambda: {"where": f"user_id:eq:{user()}", "by": "name"},
        "counts of all by name": lambda: {"by": "name"},
        "counts of all by hour": lambda: {"every": "1h"},
    }
    figures: Figures = {}
    few = max(questions // 20, 1)
    figures |= _timed(server, "/api/v1/events", "where user_id:eq", kinds["where user_id:eq"], few)
    began = time.monotonic()
    server.put_policies([_POLICY | {"index": _INDEX}])
    _wait_until_indexed(server, kinds["where user_id:eq"])
    figures["index added to what is there, s"] = time.monotonic() - began
    for name, ask in kinds.items():
        figures |= _timed(server, "/api/v1/events", f"{name}, indexed", ask, questions)
    for name, ask in counts.items():
        figures |= _timed(server, "/api/v1/events/stats", f"{name}, indexed", ask, questions)
    return figures


def _wait_until_indexed(server: Server, ask: Callable[[], dict[str, Any]]) -> None:
    """Until a question is as fast as it was before, three times: indexing goes on in background."""
    until = time.monotonic() + _INDEXED
    fast: list[float] = []
    while time.monotonic() < until:
        fast = [*fast, _once(server, "/api/v1/events", ask())][-6:]
        if len(fast) == 6 and max(fast) < 1.3 * min(fast) and max(fast) < 1:
            return
        time.sleep(1)


def _timed(
    server: Server, path: str, name: str, ask: Callable[[], dict[str, Any]], questions: int
) -> Figures:
    _once(server, path, ask())
    took = sorted(_once(server, path, ask()) * 1e3 for _ in range(questions))
    return {
        f"{name}, p50 ms": took[len(took) // 2],
        f"{name}, p99 ms": took[min(int(len(took) * 0.99), len(took) - 1)],
    }


def _once(server: Server, path: str, asked: dict[str, Any]) -> float:
    began = time.perf_counter()
    order = {} if path.endswith("/stats") else {"order": "desc"}
    server.get(path, **order, **asked)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
