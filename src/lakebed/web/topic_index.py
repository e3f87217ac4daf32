"""Topics in the order of the tree, so that a level or a page of it costs no look at the others.

    ledger, journal ──every so often──> TopicIndex: sorted names, sums of counters up to each
    level "plant/" ──a bisection a child──> children with what lies below them

With 100,000 topics a page takes milliseconds, and an index is built in half a second. So it is
shared, and used for 20 times as long as it took: looking takes a twentieth of a core at most.
"""

import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from fastapi import Request

from lakebed.api.callers import Caller
from lakebed.api.routes import flow
from lakebed.api.services import Services
from lakebed.keeper.ledger import Ledger
from lakebed.policies.outcomes import Outcome
from lakebed.vocabulary.messages import Channel, Ints
from lakebed.vocabulary.times import Micros, now
from lakebed.vocabulary.topics import FilterTree, check_filter, is_wildcard, matches

FRESH = 1.0
"""Seconds for which an index is used at least."""

SHARE = 20
"""And as many times as long as it took to build."""

KEPT, SEARCHES = 8, 8
"""Most indexes that are kept, of owners and callers, and of what was found in each."""

MOST = 300_000
"""Most topics in all of them, about 200 bytes each; the one that was asked for last stays."""

_LOOKED_AT = 100  # new topics that are looked at for those without a policy
_FIRST, _LAST = 3, 4  # columns of figures
_END = "\1"  # behind the separator: what begins with a level and this lies behind its subtree


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of one topic."""

    topic: str
    received: int
    kept: int
    size: int
    first: Micros
    last: Micros


@dataclass(frozen=True, slots=True)
class Node:
    """A child of a level: a topic, a branch, or both.

    Attributes:
        level: its name within the level.
        topic: its whole name, if it is a topic.
        under: the prefix of what lies below it; None if nothing does.
        below: how many topics lie below it.
        received, kept, last: of all of them, its own too.
    """

    level: str
    topic: str | None
    under: str | None
    below: int
    received: int
    kept: int
    last: Micros


class TopicIndex:
    """Some topics of one owner; immutable.

    Args:
        topics: in any order.
        figures: int64[topics, 5]: received, kept, size, first and last time.
    """

    def __init__(self, topics: Sequence[str], figures: Ints) -> None:
        keys = [topic.replace("/", "\0") for topic in topics]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = [keys[i] for i in order]
        self._topics = [topics[i] for i in order]
        self._figures = figures[np.array(order, np.intp)]
        self._sums = np.zeros((len(order) + 1, 2), np.int64)
        np.cumsum(self._figures[:, :2], axis=0, out=self._sums[1:])

    def __len__(self) -> int:
        return len(self._topics)

    def level(self, under: str, after: str | None, most: int) -> tuple[list[Node], bool]:
        """Children of the level below a prefix such as `plant/`, and whether there are more.

        Args:
            after: the child behind which to begin; None for the first.
        """
        prefix = under.replace("/", "\0")
        start, stop = self._below(prefix)
        if after is not None:
            start = bisect_left(self._keys, prefix + after + _END, start, stop)
        found: list[Node] = []
        while start < stop and len(found) < most:
            level = self._keys[start][len(prefix) :].partition("\0")[0]
            end = bisect_left(self._keys, prefix + level + _END, start, stop)
            found.append(self._node(level, under, start, end))
            start = end
        return found, start < stop

    def page(self, after: str | None, most: int) -> tuple[list[Seen], bool]:
        """Topics in order, and whether there are more."""
        start = 0
        if after is not None:
            key = after.replace("/", "\0")
            start = bisect_left(self._keys, key)
            start += start < len(self._keys) and self._keys[start] == key
        return list(map(self._seen, range(start, min(start + most, len(self))))), (
            start + most < len(self)
        )

    def newest(self, most: int) -> list[Seen]:
        """Those whose first message is the newest."""
        order = np.argsort(-self._figures[:, _FIRST], kind="stable")
        return [self._seen(i) for i in order[:most].tolist()]

    def latest(self, most: int) -> list[Seen]:
        """Those whose last message is the newest."""
        order = np.argsort(-self._figures[:, _LAST], kind="stable")
        return [self._seen(i) for i in order[:most].tolist()]

    def find(self, topic: str) -> Seen | None:
        """What is known of one topic."""
        key = topic.replace("/", "\0")
        place = bisect_left(self._keys, key)
        there = place < len(self._keys) and self._keys[place] == key
        return self._seen(place) if there else None

    def where(self, holds: Callable[[str], bool]) -> "TopicIndex":
        chosen = [i for i, topic in enumerate(self._topics) if holds(topic)]
        figures = self._figures[np.array(chosen, np.intp)]
        return TopicIndex([self._topics[i] for i in chosen], figures)

    def _below(self, prefix: str) -> tuple[int, int]:
        if not prefix:
            return 0, len(self)
        start = bisect_left(self._keys, prefix)
        return start, bisect_left(self._keys, prefix[:-1] + _END, start)

    def _seen(self, index: int) -> Seen:
        return Seen(self._topics[index], *self._figures[index].tolist())

    def _node(self, level: str, under: str, start: int, end: int) -> Node:
        name = under + level
        is_topic = self._topics[start] == name
        below = end - start - is_topic
        received, kept = (self._sums[end] - self._sums[start]).tolist()
        return Node(
            level,
            name if is_topic else None,
            f"{name}/" if below else None,
            below,
            received,
            kept,
            int(self._figures[start:end, _LAST].max()),
        )


def search(asked: str) -> Callable[[str], bool]:
    """Whether a topic is meant: by an MQTT filter with wildcards, else by words it contains."""
    text = asked.strip()
    if is_wildcard(text):
        try:
            check_filter(text)
        except ValueError:
            pass
        else:
            return lambda topic: matches(text, topic)
    words = text.casefold().split()

    def has_all(topic: str) -> bool:
        folded = topic.casefold()
        return all(word in folded for word in words)

    return has_all


@dataclass(slots=True)
class _Built:
    index: TopicIndex
    until: float
    parts: dict[str, TopicIndex] = field(default_factory=dict)

    @property
    def topics(self) -> int:
        return len(self.index) + sum(map(len, self.parts.values()))


class TopicIndexes:
    """The indexes of a process. Any thread may ask; one at a time builds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._built: OrderedDict[Any, _Built] = OrderedDict()

    def get(self, services: Services, caller: Caller, asked: str = "") -> TopicIndex:
        """The topics of an owner that a caller may see and a search finds."""
        key = (caller.owner, None if caller.may_all() else caller.principal)
        with self._lock:
            for stale in [k for k, one in self._built.items() if one.until < self._clock()]:
                del self._built[stale]
            built = self._built.get(key)
            if built is None:
                built = self._built[key] = self._build(services, caller)
            self._built.move_to_end(key)
            index = built.index
            if asked.strip():
                found = built.parts.get(asked)
                index = built.parts[asked] = found or index.where(search(asked))
            self._make_room()
            return index

    def _build(self, services: Services, caller: Caller) -> _Built:
        began = self._clock()
        index = build(*flow.load(services), caller)
        ended = self._clock()
        return _Built(index, ended + max(FRESH, SHARE * (ended - began)))

    def _make_room(self) -> None:
        """Forget what was found by searches first, then what was asked for longest ago."""
        for built in self._built.values():
            if len(built.parts) > SEARCHES or self._topics > MOST:
                built.parts.clear()
        while len(self._built) > KEPT or (self._topics > MOST and len(self._built) > 1):
            self._built.popitem(last=False)

    @property
    def _topics(self) -> int:
        return sum(built.topics for built in self._built.values())


def indexes_of(request: Request) -> TopicIndexes:
    """The indexes of this process, which are made for the first page."""
    state = request.app.state
    if not hasattr(state, "topic_indexes"):
        state.topic_indexes = TopicIndexes()
    return cast(TopicIndexes, state.topic_indexes)


def unkept(index: TopicIndex, policies: FilterTree[str], most: int) -> list[Seen]:
    """The newest topics of which no policy keeps anything, among the newest hundred."""
    return [one for one in index.newest(_LOOKED_AT) if not policies.match(one.topic)][:most]


def build(ledger: Ledger, pending: Mapping[Channel, int], caller: Caller) -> TopicIndex:
    """The topics that a caller may see, of the ledger and of messages behind it."""
    owner, whole, moment = caller.owner, caller.may_all(), now()
    figures = np.stack(
        [
            ledger.outcomes.sum(axis=1),
            ledger.by_channel(Outcome.KEPT),
            ledger.sizes,
            ledger.first_seen,
            ledger.last_seen,
        ],
        axis=1,
    )
    fresh: list[tuple[str, int]] = []
    for channel, waiting in pending.items():
        code = ledger.index.get(channel)
        if code is not None:
            figures[code, 0] += waiting
            figures[code, _LAST] = moment
        elif channel.owner == owner:
            fresh.append((channel.topic, waiting))
    codes = [code for code, channel in enumerate(ledger.channels) if channel.owner == owner]
    topics = [ledger.topics[code] for code in codes] + [topic for topic, _ in fresh]
    of_fresh = np.array([(n, 0, 0, moment, moment) for _, n in fresh], np.int64).reshape(-1, 5)
    mine = np.concatenate([figures[np.array(codes, np.intp)], of_fresh])
    if not whole:
        seen = [i for i, topic in enumerate(topics) if caller.may(topic)]
        topics, mine = [topics[i] for i in seen], mine[np.array(seen, np.intp)]
    return TopicIndex(topics, mine)
