"""What is known of topics before a page has heard them: their last points and values.

    newest messages of the journal ──> topics that were heard a moment ago
    last values, kept records ───────> silent ones; remembered until they are heard again

A page asks for the topics in sight, a hundred at a time. One request at a time reads what is kept,
and each reads a bounded number of topics: looking must not cost the system.
"""

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from lakebed.access.actions import Action
from lakebed.api.callers import Caller, InOwner
from lakebed.api.requests import Body, ServicesDep, check_filter_in, document_in
from lakebed.api.services import Services
from lakebed.kinds import KINDS
from lakebed.kinds.tables import TYPES
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Question
from lakebed.queries import choice, reading
from lakebed.vocabulary.errors import BadRequest, LakebedError, Unavailable
from lakebed.vocabulary.messages import Batch
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topics import FilterTree
from lakebed.web import hub
from lakebed.web.topic_index import indexes_of

router = APIRouter(include_in_schema=False)

MOST_TOPICS = 100
"""Topics of one request."""

POINTS = 60
"""Points of a topic, at most."""

MOST_READ = 40
"""Topics of a request whose records are read; the page asks for the others again."""

REMEMBERED = 1_000
"""Silent topics whose points are remembered, about 6 kB each."""

_LARGEST = 256 * 2**10  # bytes of a request


@dataclass(slots=True)
class Known:
    """What is known of one topic.

    Attributes:
        points: epoch milliseconds and number, the oldest first.
        value: the last one: a text, or the size of a payload that is none.
        time: of the last value.
    """

    value: str | int
    time: Micros
    points: list[tuple[int, float]] = field(default_factory=list)


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The topics that a page has in sight."""

    topics: list[str]


_decode = msgspec.json.Decoder(Wanted).decode


@router.post("/known")
def known(
    request: Request,
    services: ServicesDep,
    caller: Annotated[Caller, InOwner(Action.MESSAGES_FOLLOW)],
    body: Body,
) -> Response:
    """Answer by topic `[milliseconds, value, points]`, or null where nothing is known."""
    caller.changes_nothing()
    topics = _topics(body)
    caller.require(*topics)
    found, left = memory_of(request).find(request, services, caller, topics)
    shown = {topic: one and _shown(one) for topic, one in found.items()}
    answer = msgspec.json.encode({"topics": shown, "left": left})
    kept = sum(one is not None for one in found.values())
    services.sent("page", caller.owner, caller.label, "#", "", kept, len(answer))
    return Response(answer, media_type="application/json", headers={"Cache-Control": "no-store"})


def _topics(body: bytes) -> list[str]:
    if len(body) > _LARGEST:
        raise BadRequest("body", f"it is at most {_LARGEST} bytes long")
    topics = cast(Wanted, document_in(body, _decode)).topics
    if not 0 < len(topics) <= MOST_TOPICS:
        raise BadRequest("topics", f"name 1 to {MOST_TOPICS} topics")
    for topic in topics:
        check_filter_in("topics", topic)
    return topics


def _shown(one: Known) -> list[Any]:
    return [one.time // 1000, one.value, one.points]


class Memory:
    """What was found of silent topics. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[str, str, Micros], Known | None] = OrderedDict()

    def find(
        self, request: Request, services: Services, caller: Caller, topics: Sequence[str]
    ) -> tuple[dict[str, Known | None], list[str]]:
        """What is known by topic, and the topics that were left out because there are many."""
        found: dict[str, Known | None] = dict(recent(services, caller.owner, topics))
        silent = [topic for topic in topics if not _has_course(found.get(topic))]
        index = indexes_of(request).get(services, caller.to(Action.TOPICS_READ))
        left: list[str] = []
        reader = _Kept(services, caller.to(Action.RECORDS_READ))
        with self._lock:
            for topic in silent:
                heard = index.find(topic)
                key = (caller.owner, topic, heard.last if heard else 0)
                if key not in self._found:
                    if reader.reads >= MOST_READ:
                        left.append(topic)
                        continue
                    self._found[key] = reader.read(topic)
                    if len(self._found) > REMEMBERED:
                        self._found.popitem(last=False)
                self._found.move_to_end(key)
                found[topic] = _newer(found.get(topic), self._found[key])
        return found, left


def memory_of(request: Request) -> Memory:
    """The memory of this process, which is made for its first page."""
    state = request.app.state
    if not hasattr(state, "known"):
        state.known = Memory()
    return cast(Memory, state.known)


def _has_course(one: Known | None) -> bool:
    """Whether it is enough for a line, or no number that would have one."""
    return one is not None and len(one.points) != 1


def _newer(heard: Known | None, kept: Known | None) -> Known | None:
    """The value of what was heard last, with the points of both."""
    if heard is None or kept is None:
        return heard or kept
    first = heard.points[0][0] if heard.points else math.inf
    earlier = [point for point in kept.points if point[0] < first]
    newest = max(heard, kept, key=lambda one: one.time)
    return Known(newest.value, newest.time, (earlier + heard.points)[-POINTS:])


# --- the newest messages --------------------------------------------------------------------------


def recent(services: Services, owner: str, topics: Iterable[str]) -> dict[str, Known]:
    """What the newest messages of the journal say about some topics."""
    try:
        batches = cast(hub.Feed, services.feed).newest(hub.RECENT)
    except Unavailable:
        return {}
    return {
        topic: Known(
            hub.shown(messages[-1][1]),
            messages[-1][0],
            [(time // 1000, number) for time, payload in messages
             if (number := number_in(payload)) is not None],
        )
        for topic, messages in _messages(batches, owner, topics).items()
        if messages
    }  # fmt: skip


def _messages(
    batches: Sequence[Batch], owner: str, topics: Iterable[str]
) -> Mapping[str, deque[tuple[Micros, bytes]]]:
    found = {topic: deque[tuple[Micros, bytes]](maxlen=POINTS) for topic in topics}
    for batch in batches:
        codes = [
            code
            for code, channel in enumerate(batch.channels)
            if channel.owner == owner and channel.topic in found
        ]
        if not codes:
            continue
        asked, counts = np.isin(batch.channel, codes), batch.sparse.counts
        chosen = np.flatnonzero(asked if counts is None else asked & counts)
        times, payloads = batch.times[chosen].tolist(), batch.payloads
        for i, code, time in zip(
            chosen.tolist(), batch.channel[chosen].tolist(), times, strict=True
        ):
            found[batch.channels[code].topic].append((time, payloads[i]))
    return found


def number_in(payload: bytes | str) -> float | None:
    """The number that a payload is; None if it is none."""
    if len(payload) > 64:
        return None
    try:
        number = float(payload)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# --- what is kept ---------------------------------------------------------------------------------


class _Kept:
    """Reads what policies keep of topics, the best for a last value first."""

    def __init__(self, services: Services, caller: Caller) -> None:
        self._services, self._caller = services, caller
        self._tree: FilterTree[str] = FilterTree()
        self._policies: dict[str, StoredPolicy] = {}
        for stored in services.catalog.policies(caller.owner):
            self._policies[stored.name] = stored
            self._tree.add(stored.name, *stored.document["topics"])
        self.reads = 0

    def read(self, topic: str) -> Known | None:
        """What is kept of a topic."""
        if not self._caller.may(topic):
            return None
        stored = [self._policies[name] for name in self._tree.match(topic)]
        stored.sort(key=lambda one: KINDS[one.document["keep"]].rank)
        series = [s for s in stored if KINDS[s.document["keep"]].answers != "values"]
        found = None
        try:
            if series:
                self.reads += 1
                found = self._records(series[0], topic)
            values = self._services.catalog.last_values(self._caller.owner, topic=topic)
        except LakebedError:
            return found
        for value in values:
            if found is None or value.time >= found.time:
                found = Known(_text(value.value), value.time, found.points if found else [])
        return found

    def _records(self, stored: StoredPolicy, topic: str) -> Known | None:
        policy = choice.to_policy(stored)
        question = Question(policy, topic, order="desc", limit=POINTS)
        page = reading.read(self._services.series, self._services.catalog, question)
        windows = KINDS[policy.keep].answers == "windows"
        rows = [_window(row, policy.functions) if windows else _record(row)
                for row in reversed(page.rows.to_pylist())]  # fmt: skip
        if not rows:
            return None
        points = [
            (time // 1000, float(value))
            for time, value in rows
            if isinstance(value, int | float) and math.isfinite(value)
        ]
        time, value = rows[-1]
        return Known(_text(value), time, points)


_TEXTS = (TYPES["text"], TYPES["json"])


def _record(row: Mapping[str, Any]) -> tuple[Micros, Any]:
    return row["time"], row["text"] if row["type"] in _TEXTS else row["number"]


def _window(row: Mapping[str, Any], functions: Sequence[str]) -> tuple[Micros, Any]:
    name = next((name for name in ("last", "avg") if name in functions), functions[0])
    return row["start"], row[name]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    text = str(value)
    return text if len(text) <= hub.LONGEST else text[: hub.LONGEST] + "…"
