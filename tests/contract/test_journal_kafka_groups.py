"""Partitions that move between consumers, and keepers that come, go, and sleep."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rows import Rows

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.keeper import Keeper
from lakebed.policies.outcomes import Outcome
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import open_catalog
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import now

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from tests.kafka_journals import (  # noqa: E402
    Open,
    Worker,
    batch,
    durable,
    eventually,
    numbers,
)

_QUICK = "session.timeout.ms=6000&heartbeat.interval.ms=500"


def test_partitions_move_to_who_joins_and_back_and_each_message_is_read_once(
    open_journal: Open,
) -> None:
    query = f"partitions=4&{_QUICK}"
    journal = open_journal(query)
    first = Worker(journal)
    second = None
    sent = 0

    def send() -> None:
        nonlocal sent
        asyncio.run(durable(journal, batch(numbers(sent, sent + 400), channels=40)))
        sent += 400

    def read() -> Counter[bytes]:
        return Counter(first.payloads) + Counter(second.payloads if second else [])

    try:
        eventually(lambda: len(first.places) == 4)
        send()
        second = Worker(open_journal(query))
        while len(second.places) < 2:
            send()
            time.sleep(0.1)
        assert len(first.places) == 2
        send()
        eventually(lambda: len(read()) == sent)
        second.stop()
        eventually(lambda: len(first.places) == 4)
        send()
        eventually(lambda: len(read()) == sent)
    finally:
        first.stop()
        if second is not None:
            second.stop()
    assert read() == Counter(numbers(0, sent))


@pytest.mark.slow
def test_a_worker_that_sleeps_loses_its_partitions_and_its_late_commit_is_refused(
    open_journal: Open,
) -> None:
    query = f"partitions=2&{_QUICK}&max.poll.interval.ms=8000"
    journal = open_journal(query)
    zombie = Worker(journal)
    heir = None
    try:
        eventually(lambda: len(zombie.places) == 2)
        asyncio.run(durable(journal, batch(numbers(0, 100), channels=40)))
        eventually(lambda: len(zombie.payloads) == 100)
        zombie.pause()
        stale = dict(zombie.places)
        heir = Worker(open_journal(query))
        eventually(lambda: heir is not None and len(heir.places) == 2)
        asyncio.run(durable(journal, batch(numbers(100, 200), channels=40)))
        eventually(lambda: heir is not None and set(numbers(100, 200)) <= set(heir.payloads))
        reached = dict(heir.places)
        eventually(lambda: journal._groups.offsets()["keeper"] == reached)
        assert all(stale[partition] < reached[partition] for partition in reached)
        zombie.resume()
        eventually(lambda: sorted(zombie.gone[:2]) == [0, 1])
        assert journal._groups.offsets()["keeper"] == reached
    finally:
        zombie.stop()
        if heir is not None:
            heir.stop()


class Cluster:
    """Two gateways that get the same messages, and keepers that come, go, and sleep."""

    def __init__(self, open_journal: Open, folder: Path) -> None:
        self._open = lambda: open_journal(f"partitions=4&{_QUICK}&max.poll.interval.ms=8000")
        self.catalog = open_catalog("sqlite:catalog.db", folder)
        everything = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"}
        ring = {**everything, "name": "ring", "keep": "last_n", "count": 1000}
        self.catalog.put_policies("ann", [everything, ring])
        self.series: list[Rows] = []
        self.keepers: list[Keeper] = []
        self.failures: list[BaseException] = []
        self.gateways = [self._open(), self._open()]
        self.sent = 0

    def keeper(self) -> Keeper:
        self.series.append(Rows())
        keeper = Keeper(
            self._open(), self.series[-1], self.catalog, Settings(), self.failures.append
        )
        self.keepers.append(keeper)
        keeper.start()
        return keeper

    def send(self, count: int = 200) -> None:
        """Each message to both gateways, under one id."""
        wanted = range(self.sent, self.sent + count)
        self.sent += count
        builder = BatchBuilder()
        builder.extend(
            [Channel("ann", f"plant/{i % 40}") for i in wanted],
            [b"%d" % i for i in wanted],
            now(),
            Sparse(
                ids=[f"id {i}" for i in wanted],
                keys=[id_key("ann", "a", f"id {i}") for i in wanted],
            ),
        )
        for gateway in self.gateways:
            asyncio.run(durable(gateway, builder.build()))

    def archived(self) -> list[float]:
        """Values by key: rows written again fall together."""
        rows = [row for series in self.series for row in series.rows if row["policy"] == "all"]
        return sorted({(r["partition"], r["offset"]): r["number"] for r in rows}.values())

    def slots(self) -> dict[tuple[str, int], set[float]]:
        rows = [row for series in self.series for row in series.rows if row["policy"] == "ring"]
        slots: dict[tuple[str, int], set[float]] = {}
        for row in rows:
            slots.setdefault((row["topic"], row["slot"]), set()).add(row["number"])
        return slots

    def assert_exact(self) -> None:
        expected = [float(i) for i in range(self.sent)]
        eventually(lambda: len(self.archived()) >= self.sent)
        assert self.archived() == expected
        counted = {Outcome.KEPT: self.sent, Outcome.DUPLICATES: self.sent}  # one of each gateway
        eventually(lambda: ledgers.load(self.catalog).totals == counted)
        slots = self.slots()  # numbered by the state that moves: one value each, none left out
        assert all(len(values) == 1 for values in slots.values())
        assert len(slots) == self.sent
        assert not self.failures

    def close(self) -> None:
        for series in self.series:
            series.held.set()
        for keeper in self.keepers:
            keeper.stop(30)
        self.catalog.close()


@pytest.fixture
def cluster(open_journal: Open, tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(open_journal, tmp_path)
    yield made
    made.close()


def partitions(keeper: Keeper) -> int:
    return len(keeper.health().detail["behind"])


def test_keepers_that_come_and_go_keep_each_message_once(cluster: Cluster) -> None:
    first = cluster.keeper()
    cluster.send()
    eventually(lambda: partitions(first) == 4)
    second = cluster.keeper()
    cluster.send()
    eventually(lambda: partitions(first) == partitions(second) == 2)
    cluster.send()
    first.stop(30)
    cluster.send()
    eventually(lambda: partitions(second) == 4)
    cluster.assert_exact()


@pytest.mark.slow
def test_a_keeper_that_slept_in_a_write_changes_no_answer(cluster: Cluster) -> None:
    sleeper = cluster.keeper()
    cluster.send()
    eventually(lambda: partitions(sleeper) == 4)
    cluster.assert_exact()
    cluster.series[0].held.clear()
    cluster.send()
    assert cluster.series[0].asleep.wait(60)
    heir = cluster.keeper()
    eventually(lambda: partitions(heir) == 4)
    cluster.send()
    eventually(lambda: len(cluster.archived()) == cluster.sent)
    cluster.series[0].held.set()
    eventually(lambda: partitions(sleeper) == partitions(heir) == 2)
    cluster.send()
    cluster.assert_exact()


@pytest.mark.slow
def test_a_partition_whose_heir_came_to_nothing_is_taken_up_again(cluster: Cluster) -> None:
    """The heir claimed it, and lost it before Kafka told anybody else that it had it."""
    keepers = [cluster.keeper(), cluster.keeper()]
    cluster.send()
    eventually(lambda: [partitions(keeper) for keeper in keepers] == [2, 2])
    for partition in range(4):
        cluster.catalog.claim(ledgers.CONSUMER, partition)
    cluster.send()
    cluster.assert_exact()
    cluster.send()
    cluster.assert_exact()
