"""The fields that policies name are indexed, and no others."""

from collections.abc import Collection
from typing import Any

import pytest

from lakebed.keeper.indexing import Indexing
from lakebed.policies.document import parse, to_document
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.vocabulary.errors import Invalid, StoreUnavailable

EVENTS = {"name": "events", "topics": ["events/#"], "type": "json", "keep": "archive"}


class Policies:
    def __init__(self) -> None:
        self.number = 0
        self.documents: list[dict[str, Any]] = []

    def put(self, *documents: dict[str, Any]) -> None:
        self.documents = list(documents)
        self.number += 1

    def revision(self) -> int:
        return self.number

    def policies(self, owner: str | None = None) -> list[StoredPolicy]:
        return [StoredPolicy("ann", d["name"], 1, d, 0, 0) for d in self.documents]


class Series:
    def __init__(self) -> None:
        self.asked: list[set[tuple[str, ...]]] = []
        self.away = False

    def index(self, fields: Collection[tuple[str, ...]]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.asked.append(set(fields))


def test_the_fields_of_all_policies_are_indexed_once_and_let_go_with_the_last_policy() -> None:
    policies, series = Policies(), Series()
    indexing = Indexing(series, policies)
    indexing.look()
    policies.put({**EVENTS, "index": ["user_id", "/order/shop"]}, {**EVENTS, "index": ["user_id"]})
    indexing.look()
    indexing.look()
    policies.put({**EVENTS, "index": ["user_id", "/order/shop"]})
    indexing.look()
    policies.put(EVENTS)
    indexing.look()
    assert series.asked == [set(), {("user_id",), ("order", "shop")}, set()]


def test_a_store_that_is_away_is_asked_again() -> None:
    policies, series = Policies(), Series()
    indexing = Indexing(series, policies)
    policies.put({**EVENTS, "index": ["user_id"]})
    series.away = True
    with pytest.raises(StoreUnavailable):
        indexing.look()
    series.away = False
    indexing.look()
    assert series.asked == [{("user_id",)}]


def test_a_policy_with_an_index_is_written_as_it_is_read() -> None:
    policy = parse({**EVENTS, "index": ["user_id", "/order/shop"]}, "ann")
    assert to_document(policy)["index"] == ["user_id", "/order/shop"]
    assert parse(to_document(policy), "ann") == policy
    assert "index" not in to_document(parse(EVENTS, "ann"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"type": "number"}, "index is of type json, not of number"),
        ({"index": "user_id"}, "is no list of fields"),
        ({"index": []}, "is no list of fields"),
        ({"index": [5]}, "a field is text"),
        ({"index": ["a", "/a"]}, "a field is named twice"),
        ({"index": [f"f{n}" for n in range(17)]}, "16 at most"),
        ({"index": ["/a~b"]}, "JSON pointer"),
        ({"keep": "last_n", "count": 5}, "index"),
    ],
)
def test_an_index_that_is_none_says_what_is_allowed(change: dict[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        parse({**EVENTS, "index": ["user_id"], **change}, "ann")
