"""The byte ledger over HTTP: sums by whatever is asked for, and only what the caller may see."""

from typing import Any

import pytest

from lakebed.metering.segment import RowKey, of_rows
from lakebed.ports.catalog.ledger import LedgerSegment, Measure
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR

from .conftest import ADMIN, EVE, ROOMS, Api, problem

MONDAY = from_rfc3339("2026-09-28T00:00:00Z")
SPAN = {"from": "2026-09-28T00:00:00Z", "to": "2026-10-05T00:00:00Z"}
A, B = "token:a", "token:b"


def segment(
    hour: int, measure: str, rows: dict[tuple[str, ...], list[int]], first: int = 0
) -> LedgerSegment:
    named = {RowKey(*key): sums for key, sums in rows.items()}
    return of_rows(MONDAY + hour * HOUR, measure, "w", first, named)


@pytest.fixture(scope="module")
def counted(api: Api) -> Api:
    """Three days, one of them in the next month, of two owners."""
    mine = {
        ("ann", A, "room/1", "raw"): [2, 20],
        ("ann", B, "room/2", "raw"): [1, 10],
        ("ann", A, "hall"): [4, 100],
        ("eve", "", "room/1"): [7, 70],
    }
    api.catalog.save_ledger(
        [
            segment(5, Measure.IN, mine),
            segment(
                5, Measure.IN, {("ann", A, "room/1", "raw"): [1, 1], ("ann", A, ""): [3, 3]}, 9
            ),
            segment(30, Measure.IN, {("ann", A, "room/1"): [1, 5]}),
            segment(80, Measure.OUT, {("ann", B, "room/#", "raw"): [5, 500]}),
            segment(5, Measure.STORED, {("ann", "", "room/1", "raw"): [2, 1000]}),
            segment(6, Measure.STORED, {("ann", "", "room/1", "raw"): [2, 1000]}),
        ]
    )
    return api


def ask(api: Api, **parameters: Any) -> Any:
    more = {"token": parameters.pop("token")} if "token" in parameters else {}
    answer = api.get("/api/v1/ledger", params=SPAN | parameters, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


def test_the_whole_is_one_row(counted: Api) -> None:
    found = ask(counted)
    totals = {
        "in_messages": 12, "in_bytes": 139, "kept_messages": 0, "kept_bytes": 0,
        "stored_byte_hours": 2000, "out_messages": 5, "out_bytes": 500,
    }  # fmt: skip
    assert found["totals"] == totals
    assert found["rows"] == [{"start": SPAN["from"], "end": SPAN["to"], **totals}]
    assert found["rest"] == {"in_messages": 3, "in_bytes": 3}
    assert (found["sampled_hours"], found["next_cursor"]) == (2, None)


def test_rows_are_by_names_and_the_names_combine(counted: Api) -> None:
    rows = ask(counted, by="topic")["rows"]
    assert shown(rows, "topic", "in_bytes", "stored_byte_hours", "out_bytes") == [
        (None, 3, 0, 0), ("hall", 100, 0, 0), ("room/#", 0, 0, 500), ("room/1", 26, 2000, 0),
        ("room/2", 10, 0, 0),
    ]  # fmt: skip
    rows = ask(counted, by="unit,policy")["rows"]
    assert shown(rows, "unit", "policy", "in_messages", "stored_byte_hours", "out_messages") == [
        (None, "raw", 0, 2000, 0), (A, None, 8, 0, 0), (A, "raw", 3, 0, 0), (B, "raw", 1, 0, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("every", "periods"),
    [
        ("1h", [(5, 6, 138), (6, 7, 0), (30, 31, 5), (80, 81, 0)]),
        ("1d", [(0, 24, 138), (24, 48, 5), (72, 96, 0)]),
        ("7d", [(0, 168, 143)]),
        ("1mo", [(0, 72, 143), (72, 168, 0)]),
        ("1y", [(0, 168, 143)]),
    ],
)
def test_periods_are_those_of_utc_within_what_was_asked_for(
    counted: Api, every: str, periods: list[tuple[int, int, int]]
) -> None:
    found = ask(counted, every=every)
    hours = [
        tuple((from_rfc3339(row[name]) - MONDAY) // HOUR for name in ("start", "end"))
        for row in found["rows"]
    ]
    assert hours == [period[:2] for period in periods]
    assert sum(row["in_bytes"] for row in found["rows"]) == found["totals"]["in_bytes"]


def test_each_sees_what_they_may_read(counted: Api) -> None:
    assert ask(counted, token=EVE, by="owner")["totals"]["in_bytes"] == 70
    rooms = ask(counted, token=ROOMS, by="topic")
    assert shown(rooms["rows"], "topic") == [("room/#",), ("room/1",), ("room/2",)]
    assert (rooms["totals"]["in_bytes"], rooms["rest"]["in_bytes"]) == (36, 0)
    assert ask(counted, token=ADMIN)["rows"] == []
    assert ask(counted, token=ADMIN, owner="eve")["totals"]["in_bytes"] == 70
    both = ask(counted, token=ADMIN, by="owner")
    assert shown(both["rows"], "owner", "in_bytes") == [("ann", 139), ("eve", 70)]
    problem(counted.get("/api/v1/ledger", token=EVE, params={"owner": "ann"}), 403)
    problem(counted.get("/api/v1/ledger", token=None), 401)


@pytest.mark.parametrize("few", [50, 0])
def test_units_have_their_names(counted: Api, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakebed.api.routes.ledger._FEW", few)
    made = counted.post("/api/v1/units", json={"name": f"pump-{few}"}, token=ADMIN)
    assert made.status_code == 201, made.text
    label = f"unit:{made.json()['uuid']}"
    counted.catalog.save_ledger([segment(few, Measure.IN, {("admin", label, "t"): [1, 1]}, 5)])
    rows = ask(counted, token=ADMIN, by="unit", every="1h")["rows"]
    assert (label, f"pump-{few}") in shown(rows, "unit", "unit_name")
    assert (A, None) in shown(ask(counted, by="unit")["rows"], "unit", "unit_name")


def test_pages_put_together_are_the_whole(counted: Api) -> None:
    whole = ask(counted, by="topic,unit", every="1d")["rows"]
    pages: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = ask(counted, by="topic,unit", every="1d", limit=2, cursor=cursor)
        pages += page["rows"]
        cursor = page["next_cursor"]
    assert pages == whole


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"by": "topics"}, "by"),
        ({"every": "2h"}, "every"),
        ({"from": "2026-10-05T00:00:00Z"}, "from"),
        ({"cursor": "x"}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"filter": "#"}, "filter"),
    ],
)
def test_mistakes_are_named(counted: Api, parameters: dict[str, Any], where: str) -> None:
    problem(counted.get("/api/v1/ledger", params=SPAN | parameters), 400, where)


def test_too_much_for_one_answer_is_refused(counted: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as few:
        few.setattr("lakebed.queries.ledger.MOST_ROWS", 3)
        problem(counted.get("/api/v1/ledger", params=SPAN), 400, "from")
    monkeypatch.setattr("lakebed.queries.ledger.MOST_GROUPS", 3)
    problem(counted.get("/api/v1/ledger", params=SPAN | {"by": "topic"}), 400, "by")


def test_without_a_time_it_is_this_month_and_hours_are_whole(api: Api) -> None:
    found = api.get("/api/v1/ledger").json()
    start, end = from_rfc3339(found["from"]), from_rfc3339(found["to"])
    assert found["from"].endswith("-01T00:00:00Z")
    assert end % HOUR == 0
    assert 0 < end - start <= 31 * DAY
    asked = {"from": "2026-09-28T05:30:00Z", "to": "2026-09-28T05:31:00Z"}
    found = api.get("/api/v1/ledger", params=asked).json()
    assert (found["from"], found["to"]) == ("2026-09-28T05:00:00Z", "2026-09-28T06:00:00Z")


def test_hours_that_were_merged_are_days(api: Api) -> None:
    """A cursor of before goes on only where the hours are still apart."""
    old = {"from": "2025-03-03T05:00:00Z", "to": "2025-03-05T07:00:00Z", "every": "1h"}
    begin = (from_rfc3339("2025-03-03T00:00:00Z") - MONDAY) // HOUR
    topic = {("ann", A, "merged"): [1, 10]}
    api.catalog.save_ledger(
        [segment(begin + hour, Measure.IN, topic, first=9) for hour in (2, 5, 30, 48, 54)]
    )
    first = ask(api, **old, limit=1)
    assert shown(first["rows"], "start") == [(old["from"],)]
    api.catalog.mark_merged(from_rfc3339("2025-03-05T00:00:00Z"))
    found = ask(api, **old)
    assert (found["from"], found["to"]) == ("2025-03-03T00:00:00Z", old["to"])
    assert shown(found["rows"], "start", "end", "in_messages") == [
        ("2025-03-03T00:00:00Z", "2025-03-04T00:00:00Z", 2),
        ("2025-03-04T00:00:00Z", "2025-03-05T00:00:00Z", 1),
        ("2025-03-05T00:00:00Z", "2025-03-05T01:00:00Z", 1),
        ("2025-03-05T06:00:00Z", "2025-03-05T07:00:00Z", 1),
    ]
    going_on = {**SPAN, **old, "limit": 1, "cursor": first["next_cursor"]}
    answer = api.get("/api/v1/ledger", params=going_on)
    assert "merged into days" in problem(answer, 400)["detail"]
    page = ask(api, **old, limit=1)
    assert ask(api, **old, limit=1, cursor=page["next_cursor"])["rows"] == found["rows"][1:2]
