"""Limits on how much an owner may have: policies, units, topics, and what is kept."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lakebed.api.stored import weigh_once
from lakebed.kinds import KINDS
from lakebed.limits.book import STORED_NOTE, Documents, LimitBook
from lakebed.limits.stored import StoredLimits
from lakebed.ports.accounts.shares import Share
from lakebed.ports.series import Usage
from lakebed.vocabulary.limits import Over

from .conftest import ADMIN, Api, NoSeries, Open, problem


class Heavy(NoSeries):
    """A series in which ann keeps 5,000 bytes."""

    def usage(self, owner: str) -> Iterator[Usage]:
        if owner == "ann":
            yield Usage(KINDS["archive"].tables["number"].name, "all", "t", 100, 5000)


@pytest.fixture
def api(open_api: Open) -> Api:
    return open_api(Heavy())


def limit(api: Api, **document: Any) -> None:
    async def put() -> None:
        api.intake.limits.put({("ann", ""): document})

    api.run(put())


def policy(name: str) -> dict[str, Any]:
    return {"name": name, "topics": ["t"], "type": "number", "keep": "archive"}


def test_one_policy_too_many_is_refused_and_those_there_can_be_replaced(api: Api) -> None:
    limit(api, policies=2)
    for name in ("a", "b"):
        assert api.post("/api/v1/policies", json=policy(name)).status_code == 201
    answer = api.post("/api/v1/policies", json=policy("c"))
    assert "`policies` (2) of owner 'ann'" in problem(answer, 422, "policies")["detail"]
    problem(api.ask("PUT", "/api/v1/policies/c", json=policy("c")), 422, "policies")
    problem(api.post("/api/v1/apply", json={"policies": [policy("d")]}), 422, "policies")
    assert [stored.name for stored in api.catalog.policies("ann")] == ["a", "b"]
    assert api.ask("PUT", "/api/v1/policies/a", json=policy("a") | {"for": "1h"}).status_code == 200
    assert api.post("/api/v1/apply", json={"policies": [policy("b")]}).status_code == 200


def test_one_unit_too_many_is_refused_and_nothing_of_the_document_is_written(api: Api) -> None:
    limit(api, units=2)
    units = [{"name": f"u{n}", "publish": ["#"]} for n in range(3)]
    problem(api.post("/api/v1/apply", json={"units": units}), 422, "units")
    assert api.catalog.units("ann") == []
    assert api.post("/api/v1/apply", json={"units": units[:2]}).status_code == 200
    problem(api.post("/api/v1/units", json=units[2]), 422, "units")
    problem(api.ask("PUT", "/api/v1/units/u2", json=units[2]), 422, "units")


def test_a_topic_too_many_is_refused_and_known_ones_go_on(api: Api) -> None:
    limit(api, topics=2)
    api.intake.limits._topics.put({"ann": ["old"]}, ["ann"])
    send = {topic: api.post("/api/v1/messages", params={"topic": topic}, content=b"1")
            for topic in ("old", "new", "newer")}  # fmt: skip
    assert [send[topic].status_code for topic in ("old", "new")] == [202, 202]
    assert "`topics` (2) of owner 'ann'" in problem(send["newer"], 403)["detail"]
    lines = b'{"topic": "new", "value": 1}\n{"topic": "newest", "value": 1}'
    answer = api.post("/api/v1/messages/batch", content=lines).json()
    assert answer["accepted"] == 1
    assert "`topics`" in answer["rejected"][0]["error"]


def test_an_owner_that_keeps_as_much_as_it_may_is_refused_until_it_keeps_less(api: Api) -> None:
    book = api.intake.limits
    send = {"path": "/api/v1/messages", "params": {"topic": "t"}, "content": b"1"}
    assert api.post(**send).status_code == 202
    for allowed, status in (("1KiB", 429), ("1MiB", 202)):
        limit(api, stored=allowed)
        weigh_once(book, api.services.series, api.catalog, api.catalog)
        assert api.catalog.note(STORED_NOTE) == '{"ann": 5000}'

        async def take() -> None:
            book._put_stored({"ann": 5000})

        api.run(take())
        answer = api.post(**send)
        assert answer.status_code == status
        if status == 429:
            assert "`stored` (1024 bytes) of owner 'ann'" in answer.json()["detail"]


@pytest.mark.parametrize(("over", "status"), [("refuse", 429), ("park", 202)])
def test_who_sends_into_a_share_meets_the_limit_of_the_owner_who_keeps_it(
    api: Api, over: str, status: int
) -> None:
    book = api.intake.limits
    api.catalog.put_shares([Share("bob", "in", ("in",), ("owner:ann",), ("publish",))])
    api.catalog.change_owner("bob", limits={"stored": "1KiB", "over": over})
    into = {"path": "/api/v1/messages", "params": {"topic": "$owner/bob/in"}, "content": b"1"}
    lines = b'{"topic": "own", "value": 1}\n{"topic": "$owner/bob/in", "value": 1}'

    async def take(documents: Documents | None, stored: dict[str, int]) -> None:
        if documents is not None:
            book.put(documents)
        book._put_stored(stored)

    assert api.post(**into).status_code == 202
    api.run(take(StoredLimits(api.catalog, api.catalog).changed_documents(), {"bob": 5000}))
    answer = api.post(**into)
    assert answer.status_code == status
    batch = api.post("/api/v1/messages/batch", content=lines)
    assert batch.status_code == status
    if over == "refuse":
        assert "`stored` (1024 bytes) of owner 'bob'" in answer.json()["detail"]
        assert "nothing was accepted" in batch.json()["detail"]
    else:
        assert book.over["owner", Over.PARK] == 2
    assert api.post("/api/v1/messages", params={"topic": "own"}, content=b"1").status_code == 202
    api.run(take(None, {"bob": 1000}))
    assert api.post(**into).status_code == 202


def test_an_owner_who_only_receives_by_shares_is_weighed(api: Api) -> None:
    book = LimitBook({"stored": "1KiB"})
    into = Share("bob", "in", ("in",), ("owner:ann",), ("publish",))
    seen = replace(into, owner="eve", may=("read",))
    weigh_once(book, api.services.series, api.catalog, api.catalog, lambda: [into, seen])
    assert list(json.loads(api.catalog.note(STORED_NOTE))) == ["bob"]


def test_limits_of_an_owner_are_set_by_admins(api: Api) -> None:
    owner = "/api/v1/owners/ann"
    api.catalog.ensure_owner("ann")
    wanted = {"limits": {"messages": "5/1s", "over": "park"}}
    assert api.ask("PATCH", owner, token=ADMIN, json=wanted).json()["limits"] == wanted["limits"]
    wrong = {"limits": {"messages": 5, "over": "x"}}
    problem(api.ask("PATCH", owner, token=ADMIN, json=wrong), 422, "limits.messages")
    problem(api.ask("PATCH", owner, json=wanted), 403)
