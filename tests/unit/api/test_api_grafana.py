"""The requests of the dashboard of records answer the columns that its queries select."""

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


def ask(api: Api, url: str) -> Any:
    """Ask as Grafana does: variables and the range, in milliseconds, stand in the address."""
    variables = {
        "topic:percentencode": "room%2F1",
        "second:percentencode": "room%2F2",
        "__from": str(T0 // 1000),
        "__to": str(T0 // 1000 + 60_000),
    }
    return api.get(re.sub(r"\$\{([^}]+)\}", lambda found: variables[found[1]], url))


def query(title: str) -> Any:
    (panel,) = [panel for panel in BOARD["panels"] if panel["title"] == title]
    (target,) = panel["targets"]
    return target


def selectors(target: Any) -> set[str]:
    return {column["selector"] for column in target["columns"]}


def test_records_of_several_topics_have_the_columns_of_the_plot(api: Api) -> None:
    answer = ask(api, query("Records")["url"])
    assert answer.status_code == 200, answer.text
    rows = answer.json()[query("Records")["root_selector"]]
    assert {row["topic"] for row in rows} == {"room/1", "room/2"}
    assert all(selectors(query("Records")) <= row.keys() for row in rows)


def test_last_values_are_answered_to_the_table(api: Api) -> None:
    answer = ask(api, query("Last values")["url"])
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()[query("Last values")["root_selector"]], list)


def test_gaps_have_the_columns_of_an_annotation(api: Api) -> None:
    (annotation,) = [one for one in BOARD["annotations"]["list"] if one["name"] == "Gaps"]
    target = annotation["target"]
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


def test_a_range_that_grafana_has_not_filled_in_is_refused(api: Api) -> None:
    problem(api.get("/api/v1/records?topic=room/1&from=$__from"), 400, "from")
