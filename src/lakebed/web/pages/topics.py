"""The tree of topics: level by level, a page of each at a time, with live values in sight.

Branches are open as far as their rows fit into the page, so that a small tree is seen whole.
Without script others are links to their level. With script their rows are put below them.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Response

from lakebed.access.actions import Action
from lakebed.api.requests import policies_by_topic
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import FilterTree
from lakebed.web.navigation import Page
from lakebed.web.page import Pages, View, Viewing
from lakebed.web.topic_index import Node, Seen, TopicIndex, indexes_of, unkept
from lakebed.web.words import mark as _

PAGE = Page("topics", "/topics", _("Topics"), "data", 10, Action.TOPICS_READ)
router = Pages()

ROWS = 100
"""Rows of one level, or of what was found, in one page."""

_NEW = 5  # topics without a policy that are offered

Topic = Annotated[str, Query(max_length=65_536)]
Search = Annotated[str, Query(max_length=1_000)]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        topic: None of a branch that is no topic itself.
        under: prefix of what lies below; None if nothing does.
        policies: names of those that keep something of the topic.
        depth: how many levels it lies below that of the page.
        is_open: whether what lies below it follows.
    """

    name: str
    topic: str | None
    under: str | None
    below: int
    received: int
    kept: int
    last: Micros
    policies: list[str]
    depth: int = 0
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """One page of rows.

    Attributes:
        following: address of the next page; None for the last.
        more: address of its rows alone.
    """

    rows: list[Row]
    following: str | None
    more: str | None


@router.get("/topics")
def show(
    view: Annotated[View, Viewing(Action.TOPICS_READ, PAGE)],
    under: Topic = "",
    after: Topic | None = None,
    q: Search = "",
) -> Response:
    """One level of the tree, or the topics that a search finds."""
    policies = policies_by_topic(view.services, view.owner)
    indexes = indexes_of(view.request)
    every = indexes.get(view.services, view.caller)
    index = indexes.get(view.services, view.caller, q)
    new: list[Seen] = []
    if not (under or after or q) and view.may(Action.POLICIES_WRITE):
        new = unkept(every, policies, _NEW)
    return view.render(
        "topics.html",
        page=_page(view, index, policies, under, after, q),
        found=len(index),
        total=len(every),
        under=under,
        path=_path(under),
        q=q,
        after=after,
        new=new,
    )


@router.get("/topics/branch")
def branch(
    view: Annotated[View, Viewing(Action.TOPICS_READ, PAGE)],
    under: Topic = "",
    after: Topic | None = None,
    q: Search = "",
) -> Response:
    """The rows alone, for the script."""
    policies = policies_by_topic(view.services, view.owner)
    index = indexes_of(view.request).get(view.services, view.caller, q)
    return view.render("topic_rows.html", page=_page(view, index, policies, under, after, q))


def _page(
    view: View,
    index: TopicIndex,
    policies: FilterTree[str],
    under: str,
    after: str | None,
    q: str,
) -> Rows:
    if q.strip():
        seen, more = index.page(after, ROWS)
        rows = [
            Row(s.topic, s.topic, None, 0, s.received, s.kept, s.last, policies.match(s.topic))
            for s in seen
        ]
        last = rows[-1].name if rows else ""
    else:
        nodes, more = index.level(under, after, ROWS)
        rows = list(_flat(nodes, _opened(index, nodes), policies, 0))
        last = nodes[-1].level if nodes else ""
    if not more:
        return Rows(rows, None, None)
    query = {"under": under, "after": last, "q": q}
    return Rows(rows, view.url("/topics", **query), view.url("/topics/branch", **query))


def _opened(index: TopicIndex, nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """What lies below branches, level by level, as long as it fits into a page."""
    room = ROWS - len(nodes)
    found: dict[str, list[Node]] = {}
    waiting = deque(node.under for node in nodes if node.under is not None)
    while waiting and room > 0:
        under = waiting.popleft()
        below, more = index.level(under, None, room)
        if not more:
            found[under] = below
            room -= len(below)
            waiting.extend(node.under for node in below if node.under is not None)
    return found


def _flat(
    nodes: Sequence[Node],
    opened: Mapping[str, Sequence[Node]],
    policies: FilterTree[str],
    depth: int,
) -> Iterator[Row]:
    for n in nodes:
        below = opened.get(n.under or "", ())
        keeps = [] if n.topic is None else policies.match(n.topic)
        yield Row(
            n.level, n.topic, n.under, n.below, n.received, n.kept, n.last, keeps, depth,
            bool(below),
        )  # fmt: skip
        yield from _flat(below, opened, policies, depth + 1)


def _path(under: str) -> list[tuple[str, str]]:
    """Name and prefix of each level above and of this one."""
    levels = under.split("/")[:-1]
    return [(level, "/".join(levels[: i + 1]) + "/") for i, level in enumerate(levels)]
