"""The index of topics: levels and pages, beside a slow way that looks at all topics."""

import random
from unittest.mock import Mock

import numpy as np
import pytest

from lakebed.access.actions import Action
from lakebed.access.principals import Grant, Kind, Principal
from lakebed.api.callers import Caller
from lakebed.api.routes import flow
from lakebed.keeper.ledger import Ledger
from lakebed.policies.outcomes import Outcome
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.roles import Role
from lakebed.web import topic_index
from lakebed.web.topic_index import TopicIndex, TopicIndexes, build, search

SECONDS = 1_000_000
ANN = Principal(Kind.USER, "ann", "ann", (Grant("ann", Role.VIEWER, read=("#",)),))
NARROW = Principal(Kind.USER, "ann", "bob", (Grant("ann", Role.VIEWER, read=("a/#",)),))


def caller(principal: Principal = ANN, owner: str = "ann") -> Caller:
    return Caller(principal, Action.TOPICS_READ, owner)


def index(*topics: str) -> TopicIndex:
    """Of topic number i there are i + 1 messages, one of them kept, the last in second i."""
    rows = [(i + 1, 1, 10, i * SECONDS, i * SECONDS) for i in range(len(topics))]
    return TopicIndex(topics, np.array(rows, np.int64).reshape(-1, 5))


def shown(found: TopicIndex, under: str = "", after: str | None = None, most: int = 100) -> str:
    """`level` of a topic, `level/n` of a branch with n topics below it."""
    nodes, more = found.level(under, after, most)
    told = [
        ("" if node.topic is None else "*") + node.level + (f"/{node.below}" if node.below else "")
        for node in nodes
    ]
    return " ".join(told) + (" …" if more else "")


def test_a_level_has_topics_and_branches_in_order() -> None:
    found = index("b", "a/x", "a", "a/y/z", "a-b", "ab/c")
    assert shown(found) == "*a/2 *a-b ab/1 *b"
    assert shown(found, "a/") == "*x y/1"
    assert shown(found, "a/y/") == "*z"
    assert shown(found, "nothing/") == ""


def test_levels_may_be_empty_or_odd() -> None:
    found = index("/", "/a", "a/", "a//b", "a\1", "a\1/b", "a", "я/😀")
    assert shown(found) == "/2 *a/2 *a\1/1 я/1"
    assert shown(found, "/") == "* *a"
    assert shown(found, "a/") == "*/1"
    assert shown(found, "a//") == "*b"
    assert shown(found, "a\1/") == "*b"


def test_levels_come_in_pages() -> None:
    found = index(*(f"t{i:02}/x" for i in range(10)))
    assert shown(found, most=4) == "t00/1 t01/1 t02/1 t03/1 …"
    assert shown(found, after="t03", most=4) == "t04/1 t05/1 t06/1 t07/1 …"
    assert shown(found, after="t07", most=4) == "t08/1 t09/1"
    assert shown(found, after="t05x", most=1) == "t06/1 …"  # it is gone meanwhile


def test_a_branch_adds_up_what_lies_below() -> None:
    (node,), _ = index("a/b", "a/c/d", "a").level("", None, 9)
    assert (node.received, node.kept, node.last, node.under) == (6, 3, 2 * SECONDS, "a/")


def test_pages_of_all_topics() -> None:
    found = index("a/b", "a", "a-b", "c")
    page, more = found.page(None, 3)
    assert [one.topic for one in page] == ["a", "a/b", "a-b"]
    assert more
    page, more = found.page("a-b", 3)
    assert [one.topic for one in page] == ["c"]
    assert not more
    assert [one.topic for one in found.newest(2)] == ["c", "a-b"]


def test_it_finds_what_a_look_at_all_topics_finds() -> None:
    dice = random.Random(7)
    topics = {
        "/".join(dice.choice(["", "a", "b", "a-", "\1", "ab"]) for _ in range(dice.randint(1, 4)))
        for _ in range(300)
    } - {""}
    found = index(*topics)
    prefixes = {""} | {
        topic[: i + 1] for topic in topics for i, character in enumerate(topic) if character == "/"
    }
    for under in prefixes:
        below = [topic[len(under) :] for topic in topics if topic.startswith(under)]
        levels = {rest.partition("/")[0] for rest in below}
        nodes, _ = found.level(under, None, 1000)
        assert {node.level for node in nodes} == levels
        assert len(nodes) == len(levels)
        for node in nodes:
            assert (node.topic is not None) == (under + node.level in topics)
            deeper = [rest for rest in below if rest.startswith(f"{node.level}/")]
            assert node.below == len(deeper)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("plant/+/t", {"plant/1/t"}),
        ("plant/#", {"plant", "plant/1/t", "Plant/2/T"} - {"Plant/2/T"}),
        ("plant t", {"plant", "plant/1/t", "Plant/2/T"}),
        ("PLANT 2", {"Plant/2/T"}),
        ("a+b", {"a+b"}),  # no filter: a word
        ("#/x", set()),
        ("  ", {"plant", "plant/1/t", "Plant/2/T", "a+b"}),
    ],
)
def test_a_search_is_a_filter_or_words(asked: str, expected: set[str]) -> None:
    topics = ("plant", "plant/1/t", "Plant/2/T", "a+b")
    assert {topic for topic in topics if search(asked)(topic)} == expected


# --- what it is made of ---------------------------------------------------------------------------


def ledger(*channels: Channel) -> Ledger:
    made = Ledger()
    codes = made.identify(channels)
    n = len(channels)
    outcomes = np.full(n, Outcome.KEPT, np.uint8)
    made.count(codes, outcomes, np.full(n, 10), np.full(n, 5 * SECONDS))
    return made


def test_what_is_in_flight_counts_and_may_be_a_new_topic() -> None:
    pending = {Channel("ann", "a"): 2, Channel("ann", "new"): 3, Channel("eve", "hers"): 4}
    found = build(ledger(Channel("ann", "a"), Channel("eve", "e")), pending, caller())
    page, _ = found.page(None, 9)
    assert [(one.topic, one.received, one.kept) for one in page] == [("a", 3, 1), ("new", 3, 0)]
    assert page[0].first == 5 * SECONDS
    assert page[1].first == page[0].last > 5 * SECONDS


def test_a_caller_sees_topics_of_their_filters() -> None:
    made = ledger(Channel("ann", "a/1"), Channel("ann", "b/1"))
    pending = {Channel("ann", "b/2"): 1, Channel("ann", "a/2"): 1}
    page, _ = build(made, pending, caller(NARROW)).page(None, 9)
    assert [one.topic for one in page] == ["a/1", "a/2"]


def test_an_index_is_used_in_proportion_to_what_it_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    moment, cost, loads = [0.0], [0.1], []

    def load(services: object) -> tuple[Ledger, dict[Channel, int]]:
        loads.append(services)
        moment[0] += cost[0]
        return ledger(Channel("ann", "a"), Channel("ann", "b")), {}

    monkeypatch.setattr(flow, "load", load)
    indexes = TopicIndexes(lambda: moment[0])
    services = Mock()
    first = indexes.get(services, caller())
    assert indexes.get(services, caller()) is first
    assert len(indexes.get(services, caller(), "a")) == 1
    assert indexes.get(services, caller(NARROW)) is not first
    assert len(loads) == 2
    moment[0] = 2.05
    assert indexes.get(services, caller()) is first
    moment[0] = 2.2
    assert indexes.get(services, caller()) is not first
    assert len(loads) == 3


def test_few_indexes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "load", lambda services: (ledger(Channel("ann", "a")), {}))
    monkeypatch.setattr(topic_index, "MOST", 3)
    indexes = TopicIndexes(lambda: 0.0)
    for number in range(20):
        indexes.get(Mock(), caller(), f"search {number}")
        other = Principal(Kind.USER, "ann", f"u{number}", (Grant("ann", Role.VIEWER, read=("a",)),))
        indexes.get(Mock(), caller(other))
    assert indexes._topics <= 3
