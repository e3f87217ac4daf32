"""Which units count as connected, and what is written of them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from lakebed.access.identification import Identification, Used
from lakebed.accounts.presence import LEASE, SEEN_EVERY, Presence
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import SECOND, Micros


class Store:
    def __init__(self) -> None:
        self.online: set[str] = set()
        self.until = 0
        self.seen: dict[str, Micros] = {}
        self.tokens: dict[tuple[str, str], Micros] = {}
        self.touched: list[dict[str, Micros]] = []
        self.writes = 0
        self.away = False

    def renew_presence(
        self, process: str, until: Micros, online: Sequence[str], offline: Sequence[str]
    ) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.writes += 1
        self.until = until
        self.online = (self.online | set(online)) - set(offline)

    def touch_units(self, seen: Mapping[str, Micros]) -> None:
        self.touched.append(dict(seen))
        self.seen |= seen

    def touch_tokens(self, used: Mapping[tuple[str, str], Micros]) -> None:
        self.tokens |= used


class Story:
    def __init__(self) -> None:
        self.clock = 100 * SECOND
        self.store = Store()
        self.used = Used()
        self.presence = Presence(lambda: self.clock)

    def take_used(self) -> Used:
        used, self.used = self.used, Used()
        return used

    def flush(self) -> None:
        asyncio.run(self.presence.flush(cast(Any, self.store), cast(Identification, self)))


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_unit_is_online_while_any_of_its_connections_is_open(story: Story) -> None:
    story.presence.connected("u1")
    story.presence.connected("u1")
    story.presence.connected("u2")
    story.presence.disconnected("u2")  # between two batches
    story.flush()
    assert story.store.online == {"u1"}
    assert story.store.seen == {"u1": story.clock, "u2": story.clock}
    story.presence.disconnected("u1")
    story.flush()
    assert story.store.online == {"u1"}
    story.presence.disconnected("u1")
    story.flush()
    assert story.store.online == set()


def test_nothing_is_written_where_nothing_happens(story: Story) -> None:
    story.flush()
    assert story.store.writes == 0
    story.presence.connected("u1")
    story.flush()
    story.flush()
    assert story.store.writes == 1
    story.clock += LEASE // 3
    story.flush()
    assert (story.store.writes, story.store.until) == (2, story.clock + LEASE)


def test_what_the_catalog_refuses_is_written_later(story: Story) -> None:
    story.presence.connected("u1")
    story.store.away = True
    with pytest.raises(StoreUnavailable):
        story.flush()
    story.store.away = False
    story.flush()
    assert story.store.online == {"u1"}
    assert "u1" in story.store.seen


def test_credentials_in_use_are_noted(story: Story) -> None:
    story.used = Used({"u1": 7}, {("ann", "phone"): 8})
    story.flush()
    assert (story.store.seen, story.store.tokens) == ({"u1": 7}, {("ann", "phone"): 8})
    assert story.store.writes == 0


def test_a_process_that_stops_leaves_nobody_online(story: Story) -> None:
    story.presence.connected("u1")
    story.flush()
    asyncio.run(story.presence.leave(cast(Any, story.store), cast(Identification, story)))
    assert story.store.online == set()


def test_a_unit_behind_a_broker_is_seen_with_any_message_and_written_once_a_minute(
    story: Story,
) -> None:
    begun = story.clock
    for _ in range(13):  # a minute of messages
        story.presence.sent(["u1"])
        story.flush()
        story.clock += 5 * SECOND
    assert story.store.touched == [{"u1": begun}, {"u1": begun + SEEN_EVERY}]
    story.presence.sent(["u1"])
    last = story.clock
    story.clock += SEEN_EVERY
    story.flush()  # the last message is not forgotten
    assert story.store.seen == {"u1": last}
    assert story.presence._sent == {}
    story.clock += SEEN_EVERY
    story.flush()
    assert story.presence._told == {}


def test_what_waits_is_written_when_the_process_stops(story: Story) -> None:
    story.presence.sent(["u1"])
    story.flush()
    story.clock += SECOND
    story.presence.sent(["u1"])
    asyncio.run(story.presence.leave(cast(Any, story.store), cast(Identification, story)))
    assert story.store.seen == {"u1": story.clock}
