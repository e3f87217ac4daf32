"""The live feed: what has just become durable, to those who look on."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lakebed.consuming import feed as feeds
from lakebed.consuming.feed import LiveFeed, Message
from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse

Tell = Callable[[MemoryJournal, LiveFeed], Awaitable[None]]


def story(tell: Tell) -> None:
    async def run() -> None:
        journal = MemoryJournal()
        feed = LiveFeed(journal)
        await tell(journal, feed)
        await feed.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


async def publish(
    journal: MemoryJournal, *topics: str, owner: str = "ann", key: bytes = b""
) -> None:
    builder = BatchBuilder()
    channels = [Channel(owner, topic) for topic in topics]
    keys = [key] * len(topics) if key else None
    builder.extend(channels, [t.encode() for t in topics], 7, Sparse(keys=keys))
    await journal.append(builder.build())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # of conditions that set no event
            await asyncio.sleep(0.001)


def topics(messages: list[Message]) -> list[str]:
    return [topic for topic, *_ in messages]


def test_matching_messages_of_the_owner_are_delivered_in_order() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        seen: list[Message] = []
        feed.subscribe("ann", ["plant/+", "x"], seen.extend)
        await publish(journal, "plant/1", owner="bob")
        await publish(journal, "plant/1", "plant/2/deep", "x", "y", "plant/1")
        await until(lambda: len(seen) >= 3)
        assert seen == [
            ("plant/1", b"plant/1", 7, 7),
            ("x", b"x", 7, 7),
            ("plant/1", b"plant/1", 7, 7),
        ]

    story(tell)


def test_what_is_sent_again_is_delivered_once() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        seen: list[Message] = []
        feed.subscribe("ann", ["#"], seen.extend)
        await publish(journal, "a", key=b"k")
        await publish(journal, "a", key=b"k")
        await publish(journal, "b")
        await until(lambda: len(seen) >= 2)
        assert topics(seen) == ["a", "b"]

    story(tell)


def test_it_begins_with_what_becomes_durable_after_the_subscription() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        await publish(journal, "before")
        seen: list[Message] = []
        feed.subscribe("ann", ["#"], seen.extend)
        await publish(journal, "after")
        await until(lambda: bool(seen))
        assert topics(seen) == ["after"]

    story(tell)


def test_a_closed_subscription_hears_no_more_while_others_do() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        seen: list[Message] = []
        other: list[Message] = []
        first = feed.subscribe("ann", ["#"], seen.extend)
        feed.subscribe("ann", ["#"], other.extend)
        first.close()
        first.close()
        await publish(journal, "a")
        await until(lambda: bool(other))
        assert seen == []

    story(tell)


def test_it_can_be_subscribed_to_again_after_all_have_left() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        feed.subscribe("ann", ["#"], print).close()
        await publish(journal, "unseen")
        seen: list[Message] = []
        feed.subscribe("ann", ["#"], seen.extend)
        await publish(journal, "seen")
        await until(lambda: bool(seen))
        assert topics(seen) == ["seen"]

    story(tell)


def test_who_falls_behind_skips_ahead_and_is_told_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_BEHIND", 3)

    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        seen: list[Message] = []
        subscription = feed.subscribe("ann", ["#"], seen.extend)
        await publish(journal, "1", "2", "3", "4")
        await until(lambda: subscription.dropped == 4)
        await publish(journal, "5")
        await until(lambda: bool(seen))
        assert topics(seen) == ["5"]

    story(tell)


def test_a_failing_subscription_is_ended_and_harms_nobody() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        def broken(messages: list[Message]) -> None:
            raise RuntimeError("a connection that is gone")

        seen: list[Message] = []
        feed.subscribe("ann", ["#"], broken)
        feed.subscribe("ann", ["#"], seen.extend)
        await publish(journal, "a")
        await publish(journal, "b")
        await until(lambda: len(seen) == 2)

    story(tell)


def test_it_never_keeps_the_journal_from_letting_go() -> None:
    async def tell(journal: MemoryJournal, feed: LiveFeed) -> None:
        feed.subscribe("ann", ["#"], print)
        assert "behind" not in journal.health().detail
        assert not journal._consumers

    story(tell)


class Interrupted(MemoryJournal):
    """Lets something happen between the feed's look at its end and its reading."""

    meanwhile: Callable[[], None] | None = None

    def extent(self) -> dict[int, tuple[int, int]]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().extent()


def test_who_subscribes_while_the_journal_is_read_misses_nothing() -> None:
    async def run() -> None:
        journal, loop = Interrupted(), asyncio.get_running_loop()
        feed = LiveFeed(journal)
        feed.subscribe("ann", ["other"], print)
        seen: list[Message] = []

        async def subscribe_and_publish() -> None:
            feed.subscribe("ann", ["mine"], seen.extend)
            await publish(journal, "mine")

        def meanwhile() -> None:  # in the feed's thread
            asyncio.run_coroutine_threadsafe(subscribe_and_publish(), loop).result(10)

        journal.meanwhile = meanwhile
        await until(lambda: bool(seen))
        assert topics(seen) == ["mine"]
        await feed.close()

    asyncio.run(run())
