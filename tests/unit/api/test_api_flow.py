"""The account of every message: the sum holds whatever the keeper has counted so far."""

from typing import Any

import numpy as np
import pytest

from lakebed.keeper.chunk import Chunk
from lakebed.keeper.examples import Examples
from lakebed.keeper.ledger import CONSUMER, Ledger, to_checkpoint
from lakebed.policies.outcomes import Outcome
from lakebed.vocabulary.messages import Channel

from .conftest import ADMIN, EVE, ROOMS, Api, problem

SENT = [("room/1", Outcome.KEPT)] * 4 + [
    ("room/1", Outcome.UNIQUE),
    ("room/1", Outcome.LATE),
    ("room/2", Outcome.NOT_A_NUMBER),
    ("hall", Outcome.SKIPPED),
    ("hall", Outcome.OVER_QUOTA),
    ("hall", Outcome.DEAD_LETTER),
]


@pytest.fixture(scope="module")
def counted(api: Api) -> Api:
    """Ten messages counted by a keeper, three more behind them, one of them on a new topic."""
    for topic, _ in [*SENT, ("room/1", None), ("new", None), ("hall", None)]:
        api.post("/api/v1/messages", params={"topic": topic}, content=b"12345")
    api.post("/api/v1/messages", params={"topic": "room/1"}, content=b"1", token=EVE)
    ledger = Ledger()
    codes = ledger.identify([Channel("ann", topic) for topic, _ in SENT])
    outcomes = np.array([outcome for _, outcome in SENT], np.uint8)
    ledger.count(codes, outcomes, np.full(10, 5), np.arange(10) * 1_000_000)
    ledger.count_policy(("ann", "raw"), outcomes[:7])
    api.catalog.save_checkpoints(CONSUMER, 0, [to_checkpoint(ledger, 10)])
    return api


def total(flow: dict[str, Any]) -> int:
    parts = (
        "skipped", "kept", "late", "over_quota", "dead_letter", "duplicates", "lost", "in_flight",
    )  # fmt: skip
    return sum(flow[part] for part in parts) + sum(flow["filtered"].values())


def test_the_whole_adds_up(counted: Api) -> None:
    flow = counted.get("/api/v1/flow").json()
    assert flow == {
        "received": 13, "skipped": 1, "kept": 4, "filtered": {"unique": 1, "not_a_number": 1},
        "late": 1, "over_quota": 1, "dead_letter": 1, "duplicates": 0,
        "lost": 0, "in_flight": 3,
    }  # fmt: skip
    assert total(flow) == flow["received"]


def test_by_topic_each_row_adds_up_and_so_do_the_rows(counted: Api) -> None:
    rows = counted.get("/api/v1/flow", params={"by": "topic"}).json()["topics"]
    assert [(row["topic"], row["received"]) for row in rows] == [
        ("hall", 4), ("new", 1), ("room/1", 7), ("room/2", 1),
    ]  # fmt: skip
    assert all(total(row) == row["received"] for row in rows)
    assert sum(row["received"] for row in rows) == 13


def test_by_policy_the_outcomes_of_each_are_its_own(counted: Api) -> None:
    (row,) = counted.get("/api/v1/flow", params={"by": "policy"}).json()["policies"]
    assert (row["policy"], row["received"], row["kept"], row["late"]) == ("raw", 7, 4, 1)
    assert row["filtered"] == {"unique": 1, "not_a_number": 1}


def test_each_owner_has_an_account_of_their_own(counted: Api) -> None:
    flow = counted.get("/api/v1/flow", token=EVE).json()
    assert (flow["received"], flow["in_flight"]) == (1, 1)
    seen = counted.get("/api/v1/flow", token=ADMIN, params={"owner": "ann"}).json()
    assert seen["received"] == 13
    problem(counted.get("/api/v1/flow", token=EVE, params={"owner": "ann"}), 403)


def test_a_wrong_grouping_is_refused(counted: Api) -> None:
    problem(counted.get("/api/v1/flow", params={"by": "colour"}), 400, "by")


def test_topics_tell_what_there_is_and_whose_policies_match(counted: Api) -> None:
    policy = {"name": "rooms", "topics": ["room/+"], "type": "number", "keep": "archive"}
    counted.post("/api/v1/policies", json=policy)
    topics = counted.get("/api/v1/topics").json()
    assert topics["next"] is None
    hall, new, room, _ = topics["topics"]
    assert room == {
        "topic": "room/1", "received": 7, "kept": 4, "bytes": 30,
        "first_seen": "1970-01-01T00:00:00Z", "last_seen": "1970-01-01T00:00:05Z",
        "policies": ["rooms"],
    }  # fmt: skip
    assert (hall["topic"], hall["policies"]) == ("hall", [])
    assert (new["received"], new["last_seen"]) == (1, None)


def test_topics_are_filtered_and_paged(counted: Api) -> None:
    first = counted.get("/api/v1/topics", params={"limit": 2}).json()
    assert [row["topic"] for row in first["topics"]] == ["hall", "new"]
    second = counted.get("/api/v1/topics", params={"limit": 2, "after": first["next"]}).json()
    assert [row["topic"] for row in second["topics"]] == ["room/1", "room/2"]
    assert second["next"] is None
    assert first["total"] == second["total"]
    assert first["total"]["topics"] == 4
    whole = counted.get("/api/v1/topics").json()
    for figure in ("received", "kept", "bytes"):
        assert whole["total"][figure] == sum(row[figure] for row in whole["topics"]), figure
    rooms = counted.get("/api/v1/topics", params={"filter": "room/+"}).json()
    assert rooms["total"]["received"] == sum(row["received"] for row in rooms["topics"])
    rooms = rooms["topics"]
    assert [row["topic"] for row in rooms] == ["room/1", "room/2"]
    problem(counted.get("/api/v1/topics", params={"filter": "a#"}), 400, "filter")


def test_a_token_sees_only_the_topics_it_may_read(counted: Api) -> None:
    rows = counted.get("/api/v1/topics", token=ROOMS).json()["topics"]
    assert [row["topic"] for row in rows] == ["room/1", "room/2"]
    rows = counted.get("/api/v1/flow", params={"by": "topic"}, token=ROOMS).json()["topics"]
    assert [row["topic"] for row in rows] == ["room/1", "room/2"]


def test_metrics_count_the_whole_instance(counted: Api) -> None:
    text = counted.get("/metrics", token=None).text
    assert 'lakebed_messages_total{outcome="kept"} 4.0' in text
    assert "lakebed_in_flight 4.0" in text
    assert "lakebed_payload_bytes_total 50.0" in text


def test_examples_tell_why_messages_were_not_kept(counted: Api) -> None:
    payloads = [b"21.5?", "Ж".encode() * 60 + b"..", b"\xff\x00"]
    sizes = np.array([len(payload) for payload in payloads])
    n, channel = len(payloads), np.zeros(len(payloads), np.int32)
    at = np.arange(n)
    stretch = Chunk(at, channel, payloads, at, at, sizes, None, None, n)
    examples = Examples(0)
    codes = np.full(n, Outcome.NOT_A_NUMBER, np.uint8)
    examples.note(("ann", "raw"), codes, stretch, np.arange(n), [Channel("ann", "room/1")])
    examples.note_skipped(np.arange(1), stretch, [Channel("ann", "hall")])
    counted.catalog.save_checkpoints("examples", 0, examples.take_changed(n))
    plain = counted.get("/api/v1/flow").json()
    found = counted.get("/api/v1/flow", params={"examples": "true"}).json()
    shown = found.pop("examples")
    assert found == plain
    assert [(e["reason"], e["policy"], e["topic"]) for e in shown] == [
        ("skipped", None, "hall"), *[("not_a_number", "raw", "room/1")] * 3,
    ]  # fmt: skip
    assert shown[1]["payload_base64"] == "/wA="
    assert (shown[2]["payload"], shown[2]["size"]) == ("Ж" * 60, 122)
    assert shown[3] == {
        "reason": "not_a_number", "policy": "raw", "topic": "room/1", "position": "0:0",
        "time": "1970-01-01T00:00:00Z", "received": "1970-01-01T00:00:00Z", "size": 5,
        "payload": "21.5?",
    }  # fmt: skip


def test_a_token_sees_only_examples_of_topics_it_may_read(counted: Api) -> None:
    asked = {"examples": "true", "by": "policy"}
    shown = counted.get("/api/v1/flow", params=asked, token=ROOMS).json()["examples"]
    assert {example["topic"] for example in shown} == {"room/1"}
    assert counted.get("/api/v1/flow", params=asked, token=EVE).json()["examples"] == []
