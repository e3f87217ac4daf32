"""The hub of live values, on a clock that stands still unless told otherwise."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from lakebed.consuming.feed import Follower
from lakebed.ingest.building import BatchBuilder
from lakebed.vocabulary.errors import BadRequest, TooMany, Unavailable
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.web import hub as hubs
from lakebed.web.hub import Frame, Hub, Stream


class Clock:
    """Runs what is due when time passes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None], /) -> "Clock.Handle":
        entry = (self.now + delay, callback)
        self.due.append(entry)
        return Clock.Handle(self, entry)

    def passes(self, seconds: float) -> None:
        self.now += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now]:
            self.due.remove(entry)
            entry[1]()

    class Handle:
        def __init__(self, clock: "Clock", entry: Any) -> None:
            self._clock, self._entry = clock, entry

        def cancel(self) -> None:
            if self._entry in self._clock.due:
                self._clock.due.remove(self._entry)


class Feed:
    """Hands over at once what a test sends.

    Attributes:
        past: what the journal held before.
    """

    def __init__(self) -> None:
        self.followers: list[Follower] = []
        self.past: list[Batch] = []
        self.away = False

    def follow(self, follower: Follower) -> None:
        self.followers.append(follower)

    def leave(self, follower: Follower) -> None:
        self.followers.remove(follower)

    def newest(self, messages: int) -> list[Batch]:
        if self.away:
            raise Unavailable("the journal is away")
        return self.past


class Story:
    def __init__(self) -> None:
        self.feed, self.clock = Feed(), Clock()
        self.hub = Hub(self.feed, self.clock)

    async def open(self, *filters: str, owner: str = "ann", who: str = "user:ann") -> Stream:
        return await self.hub.open(owner, filters, who)

    def send(self, *batches: Batch) -> None:
        for follower in self.feed.followers:
            if picked := follower.pick(batches):
                follower.hand_over(picked)

    def says(self, seconds: float = 1.0, **values: object) -> None:
        """Messages of ann, and the turn behind them."""
        self.send(batch(*((topic, str(value)) for topic, value in values.items())))
        self.clock.passes(seconds)


def told(tell: Callable[[Story], Awaitable[None]]) -> None:
    async def run() -> None:
        await tell(Story())

    asyncio.run(run())


def batch(*messages: tuple[str, str | bytes], owner: str = "ann", **more: Any) -> Batch:
    builder = BatchBuilder()
    channels = [Channel(owner, topic) for topic, _ in messages]
    payloads = [p.encode() if isinstance(p, str) else p for _, p in messages]
    builder.extend(channels, payloads, 7_000, Sparse(**more))
    return builder.build()


def rows(frame: Frame | None) -> list[list[Any]]:
    if frame is None:
        return []
    data = frame.data.decode()
    assert data.startswith("data:")
    assert data.endswith("\n\n")
    assert data.count("\n") == 2  # it is one event
    found: list[list[Any]] = json.loads(data[5:])
    assert len(found) == frame.values
    return found


def values(frame: Frame | None) -> list[Any]:
    return [row[2] for row in rows(frame)]


def test_a_page_is_sent_the_newest_value_of_each_topic_once_a_turn() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("a", "b", "silent")
        story.send(batch(("a", "1"), ("other", "9"), ("b", "2"), ("a", "3")), batch(("a", "4")))
        story.clock.passes(1)
        assert [row[1:] for row in rows(stream.take())] == [[7, "4", "a"], [7, "2", "b"]]
        assert stream.take() is None
        story.says(b=5)
        ((number, time, value),) = rows(stream.take())  # its name was told
        assert (time, value) == (7, "5")
        assert number == 2

    told(tell)


def test_pages_with_the_same_view_are_sent_the_same_bytes() -> None:
    async def tell(story: Story) -> None:
        one, other = await story.open("a", "b"), await story.open("b", "a", who="user:bob")
        story.says(a=1)
        assert rows(one.take()) == rows(other.take())
        story.says(a=2)
        first, second = one.take(), other.take()
        assert first is not None
        assert first is second

    told(tell)


def test_a_slow_page_skips_and_is_then_sent_whatever_changed_once() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("a", "b", "c")
        story.says(a=1, b=1, c=1)
        stream.take()
        for value in range(100):
            story.says(a=value)
        story.says(b=2)
        assert [row[2:] for row in rows(stream.take())] == [["99", "a"], ["2", "b"]]
        assert stream.take() is None
        assert (story.hub.frames, story.hub.skipped) == (2, 100)

    told(tell)


def test_turns_are_a_quarter_of_a_second_apart() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("a")
        story.says(0, a=1)
        assert values(stream.take()) == ["1"]  # the first comes at once
        story.says(0.1, a=2)
        assert stream.take() is None
        story.says(0.14, a=3)
        assert stream.take() is None
        story.clock.passes(0.01)
        assert values(stream.take()) == ["3"]

    told(tell)


def test_turns_are_rarer_with_many_pages_so_that_looking_has_a_price_limit() -> None:
    async def tell(story: Story) -> None:
        for _ in range(200):
            await story.open("a")
        assert story.hub.interval == pytest.approx(1)

    told(tell)


def test_owners_see_their_own() -> None:
    async def tell(story: Story) -> None:
        ann, eve = await story.open("a"), await story.open("a", owner="eve")
        story.send(batch(("a", "hers"), owner="eve"), batch(("a", "mine")))
        story.clock.passes(1)
        assert values(ann.take()) == ["mine"]
        assert values(eve.take()) == ["hers"]

    told(tell)


def test_a_filter_finds_topics_when_they_are_heard_of() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("plant/+", "x")
        exact = await story.open("plant/2")
        story.send(batch(("plant/1", "1"), ("plant/1/deep", "no"), ("plant/2", "2")))
        story.clock.passes(1)
        assert {row[3] for row in rows(stream.take())} == {"plant/1", "plant/2"}
        assert values(exact.take()) == ["2"]
        late = await story.open("#")  # of what others look at it has the newest at once
        assert sorted(values(late.take())) == ["1", "2"]
        story.send(batch(("plant/1/deep", "yes")))
        story.clock.passes(1)
        assert values(late.take()) == ["yes"]
        assert stream.take() is None

    told(tell)


def test_a_topic_that_another_page_knows_already_is_named_to_a_filter() -> None:
    async def tell(story: Story) -> None:
        wide = await story.open("#")
        exact = await story.open("a")
        story.says(a=1, b=2)
        assert {row[3] for row in rows(wide.take())} == {"a", "b"}
        assert [row[3] for row in rows(exact.take())] == ["a"]

    told(tell)


def test_first_values_are_found_in_the_recent_past() -> None:
    async def tell(story: Story) -> None:
        story.feed.past = [batch(("a", "old"), ("a", "before"))]
        stream = await story.open("a")
        story.clock.passes(0)
        assert values(stream.take()) == ["before"]

    told(tell)


def test_a_journal_that_is_away_only_leaves_the_first_values_out() -> None:
    async def tell(story: Story) -> None:
        story.feed.away = True
        stream = await story.open("a")
        story.says(a=1)
        assert values(stream.take()) == ["1"]

    told(tell)


def test_nothing_is_read_while_nobody_looks() -> None:
    async def tell(story: Story) -> None:
        assert not story.feed.followers
        one, other = await story.open("a"), await story.open("+")
        assert story.feed.followers == [story.hub]
        story.send(batch(("a", "1"), ("b", "2")))
        one.close()
        one.close()
        other.close()
        assert not story.feed.followers
        assert not story.clock.due
        assert (story.hub.streams, story.hub.channels) == (0, 0)

    told(tell)


def test_what_is_sent_again_is_not_shown_again() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("a", "b")
        again = batch(("a", "1"), ("a", ""), ("b", "2"))
        duplicate = again.received * 0 - 1
        duplicate[1] = 1
        sparse = again.sparse._replace(duplicate=duplicate)
        story.send(Batch(again.channels, again.channel, again.payloads, again.received, sparse))
        story.clock.passes(1)
        assert values(stream.take()) == ["1", "2"]

    told(tell)


SHOWN: dict[str, tuple[bytes, object]] = {
    "text": (b"on", "on"),
    "hostile text": (b"</script>\r\ndata:x\n\n\0", "</script>\r\ndata:x\n\n\0"),
    "binary": (b"\xff\xfe\x00", 3),
    "long": (b"x" * 5000, "x" * 512 + "…"),
    "a character cut in two": ("я" * 5000, "я" * 512 + "…"),  # type: ignore[dict-item]
    "long binary": (b"x" * 600 + b"\xff" + b"x" * 5000, 5601),
    "empty": (b"", ""),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_payload_is_shown_as_a_text_or_a_size(name: str) -> None:
    payload, expected = SHOWN[name]

    async def tell(story: Story) -> None:
        stream = await story.open("a")
        story.send(batch(("a", payload)))
        story.clock.passes(1)
        assert values(stream.take()) == [expected]

    told(tell)


def test_the_time_is_that_of_the_event() -> None:
    async def tell(story: Story) -> None:
        stream = await story.open("a")
        story.send(batch(("a", "1"), event=[2_000_000]))
        story.clock.passes(1)
        assert rows(stream.take())[0][1] == 2_000

    told(tell)


# --- limits ---------------------------------------------------------------------------------------


def test_a_filter_that_matches_more_than_a_view_may_have_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hubs, "MOST_CHANNELS", 3)

    async def tell(story: Story) -> None:
        stream = await story.open("#")
        for _ in range(3):
            story.send(batch(*((f"t{i}", "1") for i in range(10))))
            story.clock.passes(1)
        assert len(rows(stream.take())) == 3
        assert stream.view.full
        assert story.hub.channels == 3

    told(tell)


@pytest.mark.parametrize(
    ("limit", "value", "error"),
    [
        ("MOST_STREAMS", 2, TooMany),
        ("MOST_OF_ONE", 2, TooMany),
        ("MOST_CELLS", 5, TooMany),
        ("MOST_FILTERS", 2, BadRequest),
    ],
)
def test_what_is_too_much_is_refused(
    limit: str, value: int, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, limit, value)

    async def tell(story: Story) -> None:
        first = await story.open("a", "b")
        await story.open("a", "b")
        with pytest.raises(error):
            await story.open("c", "d", "e", "f")
        assert story.hub.channels == 2
        first.close()
        await story.open("a")

    told(tell)


def test_channels_that_come_and_go_leave_nothing_behind() -> None:
    async def tell(story: Story) -> None:
        stays = await story.open("stays")
        for number in range(5_000):
            (await story.open(f"t/{number}")).close()
        assert story.hub.channels == 1
        story.says(stays=1)
        assert values(stays.take()) == ["1"]

    told(tell)


def test_many_channels_in_many_batches() -> None:
    """As the slow way finds them: one message after the other."""

    async def tell(story: Story) -> None:
        stream = await story.open(*(f"t/{i}" for i in range(0, 50, 2)))
        batches = [
            batch(*((f"t/{(i * 7 + j * j) % 50}", f"{i}.{j}") for j in range(i % 9 + 1)))
            for i in range(200)
        ]
        expected: dict[str, str] = {}
        for one in batches:
            for code, payload in zip(one.channel.tolist(), one.payloads, strict=True):
                expected[one.channels[code].topic] = payload.decode()
        story.send(*batches)
        story.clock.passes(1)
        found = {row[3]: row[2] for row in rows(stream.take())}
        assert found == {t: v for t, v in expected.items() if int(t[2:]) % 2 == 0}

    told(tell)
