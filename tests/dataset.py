"""Real readings, and what pandas and numpy say must be kept of them.

23,362 readings that the package vega_datasets ships: temperatures of every hour of 2010 in Seattle
and San Francisco, and four quantities of every day of 2012 to 2015 in Seattle.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.server import Server

if TYPE_CHECKING:
    import pandas as pd  # a second that workers without these tests need not spend

FUNCTIONS = (
    "count", "min", "max", "sum", "avg", "first", "last", "stddev", "p50", "p95", "p99",
)  # fmt: skip
SEATTLE, SAN_FRANCISCO, WEATHER = "temps/seattle", "temps/san-francisco", "weather/seattle"
HOURLY, DAILY, LOCAL = "1h", "24h", "24h-la"
ZONES = {HOURLY: ("1h", "UTC"), DAILY: ("24h", "UTC"), LOCAL: ("24h", "America/Los_Angeles")}


@dataclass(frozen=True)
class Reading:
    topic: str
    time: str
    value: float
    id: str

    @property
    def plain(self) -> str:
        return repr(self.value)


def document_of(reading: Reading) -> str:
    """The payload of a device that sends JSON."""
    return json.dumps({"ts": reading.time, "reading": {"value": reading.value, "unit": "F"}})


def load() -> "pd.DataFrame":
    """Columns topic, time (UTC) and value, in the order of the files."""
    import pandas as pd
    from vega_datasets import local_data

    hourly = {SEATTLE: local_data.seattle_temps(), SAN_FRANCISCO: local_data.sf_temps()}
    parts = [(topic, found["date"], found["temp"]) for topic, found in hourly.items()]
    daily = local_data.seattle_weather()
    parts += [
        (f"{WEATHER}/{name}", daily["date"], daily[name])
        for name in ("precipitation", "temp_max", "temp_min", "wind")
    ]
    frames = [
        pd.DataFrame({"topic": topic, "time": times.dt.tz_localize("UTC"), "value": values})
        for topic, times, values in parts
    ]
    return pd.concat(frames, ignore_index=True)


def readings(frame: "pd.DataFrame") -> list[Reading]:
    texts = frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = zip(frame["topic"], texts, frame["value"].tolist(), strict=True)
    return [Reading(*row, f"r{number}") for number, row in enumerate(rows)]


def policies() -> list[dict[str, Any]]:
    """Everything and three aggregates, of plain numbers and of numbers inside JSON."""
    shapes: list[tuple[str, list[str], dict[str, Any]]] = [
        ("plain", [SAN_FRANCISCO, f"{WEATHER}/+"], {}),
        ("json", [SEATTLE], {"at": "/reading/value", "time_at": "/ts"}),
    ]
    found = []
    for shape, topics, extra in shapes:
        common = {"topics": topics, "type": "number", **extra}
        found.append({"name": f"raw-{shape}", "keep": "archive", **common})
        for name, (every, zone) in ZONES.items():
            found.append(
                {
                    "name": f"{name}-{shape}",
                    "keep": "aggregate",
                    "every": every,
                    "timezone": zone,
                    "functions": list(FUNCTIONS),
                    **common,
                }
            )
    return found


def shape_of(topic: str) -> str:
    return "json" if topic == SEATTLE else "plain"


def aggregates(frame: "pd.DataFrame", which: str) -> "pd.DataFrame":
    """One row per topic and window, by pandas; start and end as RFC 3339."""
    import pandas as pd

    every, zone = ZONES[which]
    local = frame["time"].dt.tz_convert(zone)
    start = local.dt.floor("h") if every == "1h" else local.dt.normalize()
    step = pd.Timedelta(hours=1) if every == "1h" else pd.DateOffset(days=1)
    work = frame.assign(start=start, end=start + step).sort_values("time", kind="stable")
    grouped = work.groupby(["topic", "start", "end"])["value"]
    table = grouped.agg(["count", "min", "max", "sum", "mean", "first", "last"])
    table = table.rename(columns={"mean": "avg"})
    table["stddev"] = grouped.std(ddof=0)
    for percent in (50, 95, 99):
        table[f"p{percent}"] = grouped.quantile(percent / 100)  # linear, as numpy does
    table = table.reset_index()
    for name in ("start", "end"):
        table[name] = table[name].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return table


def assert_aggregates(found: list[dict[str, Any]], expected: "pd.DataFrame") -> None:
    """The same windows, all complete, with the same values: quantiles to 0.2 %, the rest 1e-9."""
    import pandas as pd

    key = ["topic", "start"]
    table = pd.DataFrame(found).sort_values(key).reset_index(drop=True)
    wanted = expected.sort_values(key).reset_index(drop=True)
    assert table[[*key, "end"]].values.tolist() == wanted[[*key, "end"]].values.tolist()
    assert table["complete"].all()
    for name in FUNCTIONS:
        values, right = table[name].to_numpy(float), wanted[name].to_numpy(float)
        relative = 2e-3 if name.startswith("p") else 1e-9
        np.testing.assert_allclose(values, right, rtol=relative, atol=1e-9, err_msg=name)


def assert_records(found: list[dict[str, Any]], sent: list[Reading]) -> None:
    """Every reading once, and nothing else."""
    have = sorted((row["topic"], row["time"], float(row["value"])) for row in found)
    assert have == sorted((reading.topic, reading.time, reading.value) for reading in sent)
    positions = [row["position"] for row in found]
    assert len(set(positions)) == len(positions)


def check_everything(server: Server) -> None:
    """Every reading is there once, every aggregate is right, every message accounted for."""
    frame = load()
    sent = readings(frame)
    flow = server.settle(lambda flow: flow["received"] - flow["duplicates"] >= len(sent))
    once = flow["received"] - flow["duplicates"]
    assert once == flow["kept"] == len(sent), f"{len(sent)} sent: {flow}"
    for shape in ("plain", "json"):
        mine = [reading for reading in sent if shape_of(reading.topic) == shape]
        records = server.records("#", f"raw-{shape}", limit=10_000)
        assert_records(records, mine)
        part = frame[frame["topic"].map(shape_of) == shape]
        for which in ZONES:
            rows = server.records("#", f"{which}-{shape}", limit=10_000)
            assert_aggregates(rows, aggregates(part, which))
    by_policy = server.get("/api/v1/flow", by="policy")["policies"]
    assert all(row["received"] == row["kept"] for row in by_policy)
    by_topic = server.get("/api/v1/flow", by="topic")["topics"]
    assert {row["topic"]: row["kept"] for row in by_topic} == frame[
        "topic"
    ].value_counts().to_dict()
