"""The requests of the dashboard of records answer the columns that its queries select.

What the data source makes of the answers is not tested here. It was seen with the backend of its
version 3.11.1: deploy/README.md.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack

from lakebed.keeper import parking
from lakebed.keeper.parking import Stretch
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.series import Series

from .conftest import Api, Open, problem

FILE = Path(__file__).parents[3] / "deploy" / "grafana" / "lakebed-records.json"
GUIDE = FILE.parents[2] / "docs" / "howto" / "grafana.md"
BOARD = json.loads(FILE.read_text())
T0 = 1_790_000_000_000_000
Insert = Callable[..., None]


@pytest.fixture(scope="module")
def api(open_api: Open, series: Series, insert: Insert) -> Api:
    api = open_api(series)
    for name, keep in (("raw", "archive"), ("now", "last_value")):
        document = {"name": name, "keep": keep, "topics": ["room/+"], "type": "number"}
        assert api.post("/api/v1/policies", json=document).status_code == 201
    for topic, first in (("room/1", 0), ("room/2", 100)):
        rows = [
            {"time": T0 + i * 1_000_000, "offset": first + i, "number": float(i)} for i in range(9)
        ]
        insert("archive", *rows, policy="raw", topic=topic)
    return api


def ask(api: Api, url: str, first: str = "room%2F1") -> Any:
    """Ask as Grafana does: variables and the range, in milliseconds, stand in the address."""
    variables = {
        "topic:percentencode": first,
        "second:percentencode": "room%2F2",
        "__from": str(T0 // 1000),
        "__to": str(T0 // 1000 + 60_000),
    }
    return api.get(re.sub(r"\$\{([^}]+)\}", lambda found: variables[found[1]], url))


def queries(title: str) -> Any:
    (panel,) = [panel for panel in BOARD["panels"] if panel["title"] == title]
    return panel["targets"]


def selectors(target: Any) -> set[str]:
    return {column["selector"] for column in target["columns"]}


def test_the_plot_has_the_records_of_each_topic(api: Api) -> None:
    for target, topic in zip(queries("Records"), ("room/1", "room/2"), strict=True):
        answer = ask(api, target["url"])
        assert answer.status_code == 200, answer.text
        rows = answer.json()[target["root_selector"]]
        assert {row["topic"] for row in rows} == {topic}
        assert all(selectors(target) <= row.keys() for row in rows)


def test_the_plot_of_a_filter_has_its_topics_in_the_order_of_time(api: Api) -> None:
    target = queries("Records")[0]
    answer = ask(api, target["url"], first="room%2F%2B").json()
    rows = answer[target["root_selector"]]
    assert [row["topic"] for row in rows] == ["room/1", "room/2"] * 9
    assert [row["start"] for row in rows] == sorted(row["start"] for row in rows)


def test_last_values_are_answered_to_the_table(api: Api) -> None:
    for target in queries("Last values"):
        answer = ask(api, target["url"])
        assert answer.status_code == 200, answer.text
        assert isinstance(answer.json()[target["root_selector"]], list)


def test_gaps_have_the_columns_of_an_annotation(api: Api) -> None:
    both = [one["target"] for one in BOARD["annotations"]["list"]]
    assert ["topic:" in both[0]["url"], "second:" in both[1]["url"]] == [True, True]
    target = both[0]
    assert {column["text"] for column in target["columns"]} == {"time", "timeEnd", "text"}
    assert target["root_selector"] == "[gaps]|@flatten"
    assert "gaps" not in ask(api, target["url"]).json()
    parked = Stretch("ann", 0, 5, 7, T0, T0 + 1_000_000, 3, 30, ["room/1"], ["unit"])
    with api.catalog.transaction():
        api.catalog.save_checkpoints(
            parking.CONSUMER, 0, [Checkpoint("ann", 40, msgpack.encode([parked]))]
        )
    (gap,) = ask(api, target["url"]).json()["gaps"]
    assert selectors(target) == gap.keys()


def test_the_guides_sql_is_answered(api: Api, series: Series) -> None:
    (sql,) = re.findall(r"```sql\n(SELECT.*?)```", GUIDE.read_text(), re.S)
    first, last = T0 // 1_000_000, T0 // 1_000_000 + 8
    for ours, macro in (
        # as the data source for ClickHouse expands them
        ("toStartOfInterval(toDateTime(time), INTERVAL 3 second)", "$__timeInterval(time)"),
        (f"time >= toDateTime({first}) AND time <= toDateTime({last})", "$__timeFilter(time)"),
        ("ann", "works"),
        ("room/", "demo/"),
    ):
        assert macro in sql
        sql = sql.replace(macro, ours)
    rows = series.query(sql, {}).to_pylist()
    assert [row["topic"] for row in rows[-2:]] == ["room/1", "room/2"]
    assert (rows[-1]["least"], rows[-1]["greatest"]) == (7, 8)


def test_a_range_that_grafana_has_not_filled_in_is_refused(api: Api) -> None:
    problem(api.get("/api/v1/records?topic=room/1&from=$__from"), 400, "from")
