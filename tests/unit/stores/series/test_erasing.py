"""Deleting by request from the real engine: what was meant goes, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest

from lakebed.ports.erasure import Erasure
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.erasing import erase
from lakebed.stores.series.clickhouse.reading.conditions import source
from lakebed.vocabulary.times import SECOND

T0 = 1_790_000_000
Insert = Callable[..., None]
EVERYTHING = {0: 10**12}


@pytest.fixture
def owner(request: pytest.FixtureRequest) -> str:
    """Each test has rows of its own."""
    return str(request.node.name)


def left(series: Series, table: str, owner: str, column: str = "offset") -> list[Any]:
    rows = series.query(
        f"SELECT `{column}` AS c FROM {source(table)} WHERE owner = {{owner:String}} ORDER BY c",
        {"owner": owner},
    )
    found: list[Any] = rows["c"].to_pylist()
    return found


def raw(numbers: range, **more: Any) -> list[dict[str, Any]]:
    return [{"time": (T0 + i) * SECOND, "offset": i, "number": float(i), **more} for i in numbers]


@pytest.mark.parametrize("table", ["archive", "window"])
def test_records_go_by_topic_policy_and_half_open_range(
    series: Series, insert: Insert, owner: str, table: str
) -> None:
    common = {"owner": owner, "policy": "p", "topic": "a/1"}
    insert(table, *raw(range(10)), **common)
    insert(table, *raw(range(10, 12)), **common | {"topic": "a/2"})
    insert(table, *raw(range(12, 14)), **common | {"policy": "q"})
    insert(table, *raw(range(5)), **common | {"owner": f"{owner} other"})
    wanted = Erasure(owner, "a/1", "p", (T0 + 3) * SECOND, (T0 + 6) * SECOND)
    assert erase(series, wanted, EVERYTHING) == 3
    assert left(series, table, owner) == [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13]
    assert erase(series, wanted, EVERYTHING) == 0
    assert erase(series, Erasure(owner, "+/2"), EVERYTHING) == 2
    assert erase(series, Erasure(owner, "#"), EVERYTHING) == 9
    assert left(series, table, owner) == []
    assert left(series, table, f"{owner} other") == [0, 1, 2, 3, 4]


def test_rows_written_again_count_once_and_all_go(
    series: Series, insert: Insert, owner: str
) -> None:
    for _ in range(3):
        insert("archive", *raw(range(4)), owner=owner, policy="p", topic="a")
    assert erase(series, Erasure(owner, "a"), EVERYTHING) == 4
    rows = series.query(
        f"SELECT 1 FROM {source('archive', final=False)} WHERE owner = {{owner:String}}",
        {"owner": owner},
    )
    assert len(rows) == 0


def test_what_lies_behind_the_place_of_the_request_stays(
    series: Series, insert: Insert, owner: str
) -> None:
    insert("archive", *raw(range(10)), owner=owner, policy="p", topic="a")
    insert("archive", *raw(range(10)), owner=owner, policy="p", topic="b", partition=1)
    assert erase(series, Erasure(owner, "#"), {0: 7, 1: 2}) == 9
    assert left(series, "archive", owner) == [2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 9]
    assert erase(series, Erasure(owner, "#"), {}) == 0


def test_a_record_that_had_left_the_ring_does_not_come_back(
    series: Series, insert: Insert, owner: str
) -> None:
    for i in range(7):  # N is 3: slot 0 holds 0, 3 and 6, of which 6 is shown
        insert(
            "last_n",
            *raw(range(i, i + 1), received=(T0 + i) * SECOND, ring=0, slot=i % 3),
            owner=owner, policy="p", topic="a",
        )  # fmt: skip
    assert left(series, "last_n", owner) == [4, 5, 6]
    wanted = Erasure(owner, "a", start=(T0 + 6) * SECOND)
    assert erase(series, wanted, EVERYTHING) == 1
    assert left(series, "last_n", owner) == [4, 5]


def test_rings_of_other_policies_stay_though_they_began_with_the_same_message(
    series: Series, insert: Insert, owner: str
) -> None:
    for policy in ("p", "q"):
        slots = [row | {"slot": row["offset"]} for row in raw(range(3), ring=0)]
        insert("last_n", *slots, owner=owner, policy=policy, topic="a")
    assert erase(series, Erasure(owner, "a", "p"), EVERYTHING) == 3
    assert left(series, "last_n", owner) == [0, 1, 2]
    assert left(series, "last_n", owner, "policy") == ["q", "q", "q"]


@pytest.mark.parametrize("table", ["aggregate", "aggregate_text"])
def test_windows_go_whole_by_their_start_with_all_their_fragments(
    series: Series, insert: Insert, owner: str, table: str
) -> None:
    empty: dict[str, Any] = {"min": 0.0, "max": 0.0}
    if table == "aggregate_text":
        empty = {"min": "", "max": ""}
    rows = [
        {"start": T0 + 60 * i, "end": T0 + 60 * (i + 1), "fragment": i, "count": 1, **empty}
        for i in range(5)
    ]
    late = {**rows[2], "fragment": 9}
    after = {**rows[2], "fragment": 20}  # opened by a message behind the request
    insert(table, *rows, late, after, owner=owner, policy="p", topic="a")
    wanted = Erasure(owner, "a", "p", (T0 + 60) * SECOND, (T0 + 179) * SECOND)
    assert erase(series, wanted, {0: 20}) == 3
    assert left(series, table, owner, "fragment") == [0, 3, 4, 20]


@pytest.mark.parametrize(("start", "end"), [(-(2**62), 2**62), (-1, None), (None, 2**62)])
def test_times_beyond_what_columns_hold_mean_everything(
    series: Series, insert: Insert, owner: str, start: int | None, end: int | None
) -> None:
    insert("archive", *raw(range(2)), owner=owner, policy="p", topic="a")
    assert erase(series, Erasure(owner, "a", None, start, end), EVERYTHING) == 2
