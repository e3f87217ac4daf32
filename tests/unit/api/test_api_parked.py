"""Parked stretches over the API: listed, released, dropped, and named as gaps of answers."""

import pytest
from msgspec import msgpack

from lakebed.api.parked_health import ParkedHealth
from lakebed.api.routes import parked
from lakebed.api.routes.parked import gaps
from lakebed.keeper import parking
from lakebed.keeper.parking import Stretch
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.times import DAY, HOUR, MINUTE, SECOND, to_rfc3339

from .conftest import ADMIN, EVE, ROOMS, Api, NoSeries, Open, problem

AT = 1_790_000_000 * SECOND
PARKED = "/api/v1/parked"


@pytest.fixture
def holding(open_api: Open) -> Api:
    """An application whose keeper has noted two stretches and a gap of ann's."""
    api = open_api(NoSeries())
    stretches = [
        Stretch("ann", 0, 5, 7, AT, AT + MINUTE, 3, 30, ["room/1"], ["uuid-1"]),
        Stretch("ann", 0, 20, 20, AT + 10 * MINUTE, AT + 10 * MINUTE, 1, 10, ["hall"]),
        Stretch("ann", 0, 30, 31, AT + 20 * MINUTE, AT + 21 * MINUTE, 2, 20, None, state="dropped"),
    ]
    with api.catalog.transaction():
        api.catalog.save_checkpoints(
            parking.CONSUMER, 0, [Checkpoint("ann", 40, msgpack.encode(stretches))]
        )
    return api


def test_stretches_are_listed_by_owner_and_time(holding: Api) -> None:
    found = holding.get(PARKED).json()
    assert [(one["id"], one["state"], one["messages"]) for one in found["parked"]] == [
        ("0:5", "parked", 3), ("0:20", "parked", 1), ("0:30", "dropped", 2),
    ]  # fmt: skip
    assert found["messages"] == 4
    first = found["parked"][0]
    assert (first["topics"], first["units"], first["bytes"]) == (["room/1"], ["uuid-1"], 30)
    later = holding.get(PARKED, params={"from": AT // SECOND + 300}).json()
    assert [one["id"] for one in later["parked"]] == ["0:20", "0:30"]
    assert holding.get(PARKED, token=EVE).json() == {"parked": [], "messages": 0}
    assert holding.get(PARKED, token=ADMIN, params={"owner": "ann"}).json() == found
    assert [one["id"] for one in holding.get(PARKED, token=ROOMS).json()["parked"]] == ["0:5"]


def test_a_release_is_ordered_once_and_shown(holding: Api) -> None:
    answer = holding.post(f"{PARKED}/release", json={"to": AT // SECOND + 1})
    assert (answer.status_code, answer.json()) == (202, {"stretches": 1, "messages": 3})
    assert holding.post(f"{PARKED}/release", json={"all": True}).json()["stretches"] == 1
    (first, _) = holding.catalog.parked_orders()
    assert (first.owner, first.first, first.last, first.wish) == ("ann", 5, 7, "release")
    states = [one["state"] for one in holding.get(PARKED).json()["parked"]]
    assert states == ["releasing", "releasing", "dropped"]


def test_stretches_are_dropped_by_their_ids(holding: Api) -> None:
    asked = {"action": "drop", "ids": ["0:20"]}
    assert holding.post(PARKED, json=asked).json() == {"stretches": 1, "messages": 1}
    problem(holding.post(PARKED, json={"action": "drop", "ids": ["9:9"]}), 400, "ids")
    problem(holding.post(PARKED, json={"action": "drop"}), 400)
    assert holding.post(PARKED, json={"action": "burn", "all": True}).status_code in (400, 422)


def test_metrics_say_how_much_is_parked_and_was_let_go_of(holding: Api) -> None:
    found = {sample.labels[0]: sample.value for sample in parked.metrics(holding.services)}
    assert found == {"parked": 4, "dropped": 2, "expired": 0}


def test_health_tells_what_expires_soon_and_what_has_expired(holding: Api) -> None:
    week = 7 * DAY
    at = [AT + week - DAY]
    found = ParkedHealth(holding.catalog, week, lambda: at[0])
    found.look()
    health = found.health()
    assert (health.ok, health.message) == (True, "")
    assert health.detail == {"waiting": 4, "expiring": 0, "expired": 0}
    at[0] += 12 * HOUR
    found.look()
    assert found.health().message == "4 parked messages expire within 1008m"
    gone = [Stretch("ann", 0, 5, 7, AT, AT + MINUTE, 3, 30, ["room/1"], state="expired")]
    with holding.catalog.transaction():
        holding.catalog.save_checkpoints(
            parking.CONSUMER, 0, [Checkpoint("ann", 41, msgpack.encode(gone))]
        )
    found.look()
    assert "3 parked messages have expired" in found.health().message
    assert found.health().ok
    at[0] += 2 * week
    found.look()
    assert found.health().message == ""


def test_a_parked_stretch_says_until_when_it_can_be_released(holding: Api) -> None:
    first, _, gone = holding.get(PARKED).json()["parked"]
    assert first["expires"] == to_rfc3339(AT + MINUTE + 7 * DAY)
    assert gone["expires"] is None


def test_a_token_for_some_topics_settles_nothing(holding: Api) -> None:
    problem(holding.post(f"{PARKED}/release", token=ROOMS, json={"all": True}), 403)
    assert holding.catalog.parked_orders() == []


def test_gaps_of_a_topic_say_when_and_why(holding: Api) -> None:
    found = gaps(holding.services, "ann", ["room/+"], None, None)
    assert [gap["reason"] for gap in found] == ["over_quota", "dropped"]
    assert found[0]["from"] == "2026-09-21T14:13:20Z"
    assert gaps(holding.services, "ann", ["hall"], None, AT + MINUTE) == []
    assert gaps(holding.services, "eve", ["#"], None, None) == []


def test_load_and_limits_are_shown_to_those_who_may(holding: Api) -> None:
    async def limit() -> None:
        holding.intake.limits.put({("ann", ""): {"messages": "5/1h", "over": "park"}})

    holding.run(limit())
    for topic in ("room/1", "room/1", "hall"):
        holding.post("/api/v1/messages", params={"topic": topic}, content=b"12345")
    rows = holding.get("/api/v1/load", params={"by": "topic"}).json()["load"]
    assert [(row["topic"], row["messages"]["peak"] >= 1) for row in rows] == [
        ("room/1", True), ("hall", True),
    ]  # fmt: skip
    (owner,) = holding.get("/api/v1/load", params={"by": "owner", "of": "1d"}).json()["load"]
    assert owner["owner"] == "ann"
    assert holding.get("/api/v1/load", token=EVE, params={"by": "owner"}).json()["load"] == []
    found = holding.get("/api/v1/limits").json()
    assert found["limits"] == {"messages": "5/1h", "over": "park"}
    problem(holding.get("/api/v1/load", params={"by": "colour"}), 400)
    problem(holding.get("/api/v1/limits", token=ROOMS), 403)
    assert holding.get("/api/v1/limits", token=ADMIN, params={"owner": "ann"}).status_code == 200
