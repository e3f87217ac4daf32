"""Reduced points over HTTP: what Grafana and the pages ask for."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lakebed.ports.series import Series

from .conftest import ROOMS, Api, Open, problem

T0 = 1_790_000_000_000_000
RECORDS = "/api/v1/records"
Insert = Callable[..., None]


@pytest.fixture(scope="module")
def api(open_api: Open, series: Series, insert: Insert) -> Api:
    api = open_api(series)
    for name, keep, topics, more in (
        ("raw", "archive", ["room/+"], {}),
        ("hours", "aggregate", ["hour"], {"every": "1h"}),
        ("now", "last_value", ["now"], {}),
        ("texts", "archive", ["text"], {"type": "text"}),
    ):
        document = {"name": name, "keep": keep, "topics": topics, "type": "number", **more}
        assert api.post("/api/v1/policies", json=document).status_code == 201
    for topic, factor, first in (("room/1", 1.0, 0), ("room/2", -1.0, 100)):
        rows = [
            {"time": T0 + i * 1_000_000, "offset": first + i, "number": factor * (i % 7)}
            for i in range(100)
        ]
        insert("archive", *rows, policy="raw", topic=topic)
    window = {"end": 1_790_006_400, "count": 2, "sum": 3.0, "min": 1.0, "max": 2.0}
    insert("aggregate", {"start": 1_790_002_800, **window}, policy="hours", topic="hour")
    return api


def points(api: Api, topic: str | list[str] = "room/1", **parameters: Any) -> Any:
    token = parameters.pop("token", "ann-token")
    return api.get(RECORDS, params={"topic": topic, "points": 10, **parameters}, token=token)


def test_a_range_is_one_small_answer_with_the_extremes(api: Api) -> None:
    answer = points(api, **{"from": T0 // 1_000_000, "to": T0 // 1_000_000 + 100}).json()
    assert (answer["policy"], answer["keep"], answer["next_cursor"]) == ("raw", "archive", None)
    assert len(answer["records"]) == 10
    assert answer["records"][0] == {
        "topic": "room/1", "start": "2026-09-21T14:13:20Z", "end": "2026-09-21T14:13:29Z",
        "min": 0, "max": 6, "first": 0, "last": 2,
    }  # fmt: skip


def test_grafana_asks_in_milliseconds_for_several_topics(api: Api) -> None:
    given = {"topic": ["room/1", "room/2"], "maxDataPoints": 5, "from": T0 // 1000}
    answer = api.get(RECORDS, params=given, token="ann-token").json()["records"]
    # Grafana makes a curve of each topic only where the rows of all are in the order of time
    assert [row["topic"] for row in answer] == ["room/1", "room/2"] * 5
    assert [row["start"] for row in answer] == sorted(row["start"] for row in answer)
    assert {row["min"] for row in answer[1::2]} == {-6}
    newest = api.get(RECORDS, params=given | {"order": "desc"}, token="ann-token").json()["records"]
    assert [row["start"] for row in newest] == [row["start"] for row in answer][::-1]


def test_points_of_several_topics_are_one_topic_after_the_other(api: Api) -> None:
    answer = points(api, ["room/1", "room/2"], points=5).json()["records"]
    assert [row["topic"] for row in answer] == ["room/1"] * 5 + ["room/2"] * 5


def test_windows_are_bands_around_their_average(api: Api) -> None:
    (row,) = points(api, "hour").json()["records"]
    assert {name: row[name] for name in ("min", "max", "avg", "count", "complete")} == {
        "min": 1, "max": 2, "avg": 1.5, "count": 2, "complete": True,
    }  # fmt: skip
    assert "late" not in row


@pytest.mark.parametrize("form", ["ndjson", "csv", "arrow", "parquet"])
def test_every_format_has_points(api: Api, form: str) -> None:
    answer = points(api, format=form)
    assert answer.status_code == 200
    if form == "ndjson":
        assert len([json.loads(line) for line in answer.text.splitlines()]) == 10
    if form == "csv":
        assert next(csv.reader(io.StringIO(answer.text))) == [
            "topic", "start", "end", "min", "max", "first", "last",
        ]  # fmt: skip
    if form == "arrow":
        table = pa.ipc.open_stream(answer.content).read_all()
        assert table["start"].type == pa.timestamp("us", "UTC")


def test_several_topics_are_one_answer_without_points_too(api: Api) -> None:
    given = {"topic": ["room/1", "room/2"], "limit": 3}
    first = api.get(RECORDS, params=given, token="ann-token").json()
    rows = first["records"]
    assert [(row["topic"], row["position"]) for row in rows][:1] == [("room/1", "0:0")]
    more = {**given, "cursor": first["next_cursor"]}
    assert len(api.get(RECORDS, params=more, token="ann-token").json()["records"]) == 3
    alone = {"topic": "room/1", "cursor": first["next_cursor"]}
    problem(api.get(RECORDS, params=alone, token="ann-token"), 400, "cursor")


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"points": 0}, "points"),
        ({"points": 10_001}, "points"),
        ({"points": "many"}, "points"),
        ({"limit": 5}, "limit"),
        ({"offset": 5}, "offset"),
        ({"cursor": "AAAA"}, "cursor"),
        ({"topic": "now"}, "points"),  # a last value is no series
        ({"topic": "text"}, "points"),  # and texts have no extremes
        ({"topic": ["room/1"] + [f"room/{i}" for i in range(101)]}, "topic"),
    ],
)
def test_what_has_no_points_is_refused_by_name(
    api: Api, parameters: dict[str, Any], where: str
) -> None:
    problem(points(api, **parameters), 400, where)


def test_topics_of_different_policies_are_asked_for_one_by_one(api: Api) -> None:
    assert "all of 'room/1', 'hour'" in problem(points(api, ["room/1", "hour"]), 404)["detail"]


def test_every_topic_must_be_covered_by_the_token(api: Api) -> None:
    assert points(api, "room/1", token=ROOMS).status_code == 200
    problem(points(api, ["room/1", "hall"], token=ROOMS), 403)


def counter_windows(n: int) -> list[dict[str, Any]]:
    """Windows of an hour, in the i-th of which a counter grows by 10 + i."""
    start, level, found = 1_790_002_800, 100.0, []
    for i in range(n):
        begin = start + 3600 * i
        moments = [begin * 1_000_000 - 1, begin * 1_000_000 + 5_000_000]
        found.append(
            {"start": begin, "end": begin + 3600, "complete": 1, "count": 1, "sum": level,
             "min": level, "max": level, "first_time": T0, "first_offset": i, "last_time": T0,
             "last_offset": i, "fragment": i, "moments": moments,
             "levels": [level, level + 10 + i]}
        )  # fmt: skip
        level += 10 + i
    return found


def test_points_of_a_counter_are_what_it_grew_by(api: Api, insert: Insert) -> None:
    for name, functions in (("meter", ["increase", "delta"]), ("both", ["avg", "increase"])):
        document = {"name": name, "keep": "aggregate", "topics": [name], "type": "number",
                    "every": "1h", "functions": functions}  # fmt: skip
        assert api.post("/api/v1/policies", json=document).status_code == 201
        insert("aggregate", *counter_windows(24), policy=name, topic=name)
    range_ = {"from": 1_790_002_800, "to": 1_790_002_800 + 24 * 3600}
    found = points(api, "meter", points=6, **range_).json()["records"]
    assert [(row["min"], row["max"], row["first"], row["last"]) for row in found] == [
        (10.0 + i, 13.0 + i, 10.0 + i, 13.0 + i) for i in range(0, 24, 4)
    ]
    assert [row["count"] for row in found] == [4] * 6
    assert not any("avg" in row for row in found)
    (row,) = points(api, "both", points=1, **range_).json()["records"]
    assert row["avg"] == row["avg"]  # extremes and average, as before
    (row,) = points(api, "both", points=1, function="increase", **range_).json()["records"]
    assert (row["min"], row["max"], row["start"]) == (10, 33, "2026-09-21T15:00:00Z")
    last, *_ = points(api, "meter", points=6, order="desc", **range_).json()["records"]
    assert (last["first"], last["complete"]) == (30, True)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"topic": "meter", "function": "rate"}, "it answers with increase, delta"),
        ({"topic": "room/1", "function": "avg"}, "it has none"),
        ({"topic": "meter", "function": "delta", "points": None}, "give both, or none"),
    ],
)
def test_functions_that_a_policy_has_not_are_refused(
    api: Api, asked: dict[str, Any], what: str
) -> None:
    given = {"points": 5, **asked}
    given = {name: value for name, value in given.items() if value is not None}
    answer = problem(api.get(RECORDS, params=given, token="ann-token"), 400, "function")
    assert what in answer["detail"]
