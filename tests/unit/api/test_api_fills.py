"""Fills over the API: asked for, looked at, ended; keepers are not there."""

from typing import Any

import pytest

from lakebed.keeper import fill_state
from lakebed.keeper.fill_state import FillState
from lakebed.vocabulary.times import HOUR, SECOND, now, to_rfc3339

from .conftest import ADMIN, EVE, ROOMS, Api, NoSeries, Open, problem

RAW = {"name": "raw", "topics": ["hall/#"], "type": "number", "keep": "archive"}
FILL = "/api/v1/policies/raw/fill"
LONG_AGO = {"from": "2020-01-01T00:00:00Z"}


@pytest.fixture
def api(open_api: Open, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr("lakebed.api.routes.fills._BEGUN", 0.0)
    api = open_api(NoSeries())
    api.catalog.put_policies("ann", [RAW])
    return api


def saved(api: Api, **state: Any) -> None:
    """What a keeper has saved of the newest order."""
    order = api.catalog.fill_order("ann", "raw")
    assert order is not None
    fill = FillState("ann", "raw", order.request, order.version, 7, [(7, 9)], 10, **state)
    api.catalog.save_checkpoints(fill_state.CONSUMER, 0, [fill.to_checkpoint()])


def test_a_fill_is_ordered_once_and_shown(api: Api) -> None:
    since = now() - HOUR
    answer = api.post(FILL, json={"from": since // SECOND})
    assert answer.status_code == 202
    shown = answer.json()
    assert (shown["policy"], shown["state"], shown["done"]) == ("raw", "running", 0.0)
    assert shown["from"] == to_rfc3339(since // SECOND * SECOND)
    assert "reaches" not in shown
    assert api.changes == 1  # keepers of this process look at once
    assert "is being filled" in problem(api.post(FILL, json=LONG_AGO), 409)["detail"]
    saved(api, read=5, matched=4, kept=3, size=30, rows=3, since=since)
    found = api.get(FILL).json()
    assert (found["done"], found["read"], found["matched"]) == (0.5, 5, 4)
    assert (found["kept"], found["rows"], found["bytes"]) == (3, 3, 30)
    assert found["first"] == to_rfc3339(since)
    saved(api, state="failed", error="why", finished=since)
    found = api.get(FILL).json()
    assert (found["state"], found["error"], found["finished"]) == (
        "failed",
        "why",
        to_rfc3339(since),
    )


def test_it_says_how_far_the_journal_reaches(api: Api) -> None:
    before = now()
    api.post("/api/v1/messages", params={"topic": "hall/1"}, content=b"1")
    shown = api.post(FILL, json=LONG_AGO).json()
    assert shown["from"] == shown["reaches"]
    assert to_rfc3339(before) <= shown["reaches"] <= to_rfc3339(now())


def test_an_end_is_asked_for_and_what_has_ended_stays(api: Api) -> None:
    problem(api.ask("DELETE", FILL), 404)
    problem(api.get(FILL), 404)
    api.post(FILL, json=LONG_AGO)
    assert api.ask("DELETE", FILL).json()["state"] == "running"  # until a keeper has seen it
    order = api.catalog.fill_order("ann", "raw")
    assert order is not None
    assert order.cancelled
    saved(api, state="done")
    api.catalog.settle_fill(order)
    assert api.ask("DELETE", FILL).json()["state"] == "done"
    assert api.post(FILL, json=LONG_AGO).status_code == 202


def test_a_policy_that_comes_back_was_never_filled(api: Api) -> None:
    api.post(FILL, json=LONG_AGO)
    order = api.catalog.fill_order("ann", "raw")
    assert order is not None
    api.catalog.delete_policy("ann", "raw")
    api.catalog.put_policies("ann", [RAW])
    problem(api.get(FILL), 404)
    problem(api.post(FILL, json=LONG_AGO), 409)  # until keepers have ended the former one
    api.catalog.settle_fill(order)
    assert api.post(FILL, json=LONG_AGO).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"from": "soon"},
        {"from": None},
        {"from": 1, "to": 2},
        [],
        {"from": "2098-01-01T00:00:00Z"},
    ],
)
def test_what_is_no_order_is_refused(api: Api, body: Any) -> None:
    assert api.post(FILL, json=body).status_code in (400, 422)
    assert api.catalog.fill_order("ann", "raw") is None


def test_a_policy_that_is_hidden_is_not_there(api: Api) -> None:
    api.post(FILL, json=LONG_AGO)
    for method in ("GET", "POST", "DELETE"):
        for token in (ROOMS, EVE):
            problem(api.ask(method, FILL, token=token, json=LONG_AGO), 404)
    problem(api.post("/api/v1/policies/none/fill", json=LONG_AGO), 404)
    assert api.get(FILL, token=ADMIN, params={"owner": "ann"}).status_code == 200


def test_who_asked_is_in_the_audit_log(api: Api) -> None:
    api.post(FILL, json=LONG_AGO)
    api.ask("DELETE", FILL)
    entries = api.get("/api/v1/audit", token=ADMIN, params={"action": "policies.fill"}).json()
    assert [(e["action"], e["resource"]) for e in entries["entries"]] == [
        ("policies.fill", "policies/raw/fill")
    ] * 2
