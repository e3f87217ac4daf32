"""What gateways report to each other of load and limits."""

import pytest
from tests.gateways import Clock, MemoryReports

from lakebed.limits import reports
from lakebed.limits.book import LimitBook
from lakebed.limits.load import Load
from lakebed.limits.reports import EVERY, MOST, ClusterReports, merge
from lakebed.ports.catalog.gateways import GatewayReport
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.times import SECOND

SHED, BARN = Channel("plant", "shed"), Channel("plant", "barn")


class Process:
    """A gateway, or where `receives` is false a process that only answers."""

    def __init__(
        self, store: MemoryReports, clock: Clock, name: str, receives: bool = True, **limits: str
    ) -> None:
        self.book, self.clock = LimitBook(limits, clock=clock), clock
        self.cluster = ClusterReports(
            store, self.book, name if receives else None, clock, lambda: int(clock.at * SECOND)
        )

    def take_in(self, channel: Channel, count: int, seconds: int = 1) -> None:
        """Messages a second, of one byte."""
        allowance = self.book.of_owner(channel.owner)
        for _ in range(seconds):
            self.book.load.count(Batch([channel], [0] * count, [b"1"] * count, [0] * count))
            allowance.decide([1] * count)
            self.clock.at += 1
        self.book.tick()


@pytest.fixture
def store() -> MemoryReports:
    return MemoryReports()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_load_is_that_of_all_gateways_whoever_answers(store: MemoryReports, clock: Clock) -> None:
    one, two = Process(store, clock, "one"), Process(store, clock, "two")
    asked = Process(store, clock, "", receives=False)
    one.take_in(SHED, 10, 20)
    two.take_in(SHED, 30, 20)
    two.take_in(BARN, 5, 20)
    for process in (one, two):
        process.cluster.publish(["1m"])
    clock.at += 2
    for process, age in ((one, 2), (two, 2), (asked, 2)):
        found = process.cluster.load("topic", "1m")
        assert (found.gateways, found.age, found.complete) == (2, age, True)
        assert found.seconds == 60
        assert found.loads[SHED].messages_peak == 40
        assert found.loads[SHED].messages_mean == pytest.approx(800 / 60, rel=0.05)
        assert found.loads[BARN].bytes_mean == pytest.approx(100 / 60, rel=0.05)
        assert set(process.cluster.load("owner", "1m").loads) == {"plant"}
    assert asked.cluster.load("topic", "1d").gateways == 0  # not reported yet


def test_a_mean_weighs_gateways_by_how_long_they_have_counted() -> None:
    loads = merge([({"a": Load(1, 10, 1, 1, 10, 1)}, 60), ({"a": Load(2, 30, 2, 2, 30, 2)}, 20)])
    assert loads["a"].messages_mean == pytest.approx((10 * 60 + 30 * 20) / 60)
    assert loads["a"].messages_now == 3


def test_a_report_that_is_too_old_does_not_count(store: MemoryReports, clock: Clock) -> None:
    one, asked = Process(store, clock, "one"), Process(store, clock, "", receives=False)
    one.take_in(SHED, 10)
    one.cluster.publish(["1m", "1d"])
    clock.at += 4 * EVERY - 1
    assert asked.cluster.load("unit", "1m").gateways == 1
    clock.at += 2
    assert asked.cluster.load("unit", "1m").gateways == 0
    assert asked.cluster.load("topic", "1d").gateways == 1


def test_the_heaviest_topics_are_named_and_the_answer_says_that_others_are_not(
    store: MemoryReports, clock: Clock
) -> None:
    one, asked = Process(store, clock, "one"), Process(store, clock, "", receives=False)
    topics = [Channel("plant", f"t/{n}") for n in range(MOST["topic"] + 100)]
    one.book.load.topics.add(topics, range(1, len(topics) + 1), [1] * len(topics), clock.at)
    clock.at += 1
    one.cluster.publish(["1m"])
    found = asked.cluster.load("topic", "1m")
    assert set(found.loads) == set(topics[100:])
    assert not found.complete
    assert asked.cluster.load("owner", "1m").complete


def test_a_report_is_bounded_whatever_topics_are_called(
    store: MemoryReports, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "_TEXT", 1000)
    one, asked = Process(store, clock, "one"), Process(store, clock, "", receives=False)
    topics = [Channel("plant", f"{n}" + "x" * 300) for n in range(9)]
    one.book.load.topics.add(topics, range(1, 10), [1] * 9, clock.at)
    clock.at += 1
    one.cluster.publish(["1m"])
    found = asked.cluster.load("topic", "1m")
    assert set(found.loads) == set(topics[-3:])
    assert not found.complete


def test_used_parts_of_a_limit_add_up(store: MemoryReports, clock: Clock) -> None:
    limits = {"messages": "100/1s", "over": "refuse"}
    one, two = Process(store, clock, "one", **limits), Process(store, clock, "two", **limits)
    asked = Process(store, clock, "", receives=False)
    for _ in range(3):
        two.take_in(SHED, 120)
        clock.at -= 1
        one.take_in(SHED, 50)
    for process in (one, two):
        process.cluster.publish(["1m"])
    used, over = asked.cluster.usage("plant")[""]
    assert used == {"messages 100/1s": pytest.approx(1.7)}
    assert over["refuse"] >= 20
    assert asked.cluster.usage("other") == {}
    one.book.usage.elsewhere = one.cluster.used_elsewhere()
    one.book.tick()
    ((subject, limit, part),) = one.book.usage.warned
    assert (subject.name, limit, part) == ("plant", "messages 100/1s", pytest.approx(1.7))
    asked.book.usage.elsewhere = asked.cluster.used_elsewhere()
    for process in (one, asked):
        health = process.cluster.health()
        assert health.detail == {"owners_near": 1, "units_near": 0}
        assert health.message == "1 owner uses 80% of a limit, or more"
        assert health.ok


def test_what_was_read_last_is_told_while_the_catalog_is_away(
    store: MemoryReports, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = Process(store, clock, "one"), Process(store, clock, "", receives=False)
    one.take_in(SHED, 10)
    one.cluster.publish(["1m"])
    asked.cluster.load("topic", "1m")

    def away(kinds: object) -> list[GatewayReport]:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "gateway_reports", away)
    clock.at += 5
    found = asked.cluster.load("topic", "1m")
    assert (found.gateways, found.age) == (1, 5)


def test_a_process_that_is_alone_asks_no_store(clock: Clock) -> None:
    book = LimitBook(clock=clock)
    cluster = ClusterReports(None, book, "alone", clock)
    found = cluster.load("topic", "1m")
    assert (found.gateways, found.age, found.complete) == (1, 0, True)
    assert cluster.usage("plant") == {}
