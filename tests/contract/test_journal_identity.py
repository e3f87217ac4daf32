"""A topic that is not the journal any more: created again, grown, or with records that vanished."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.rows import Rows
from tests.server import eventually as within
from tests.servers.kafka import KafkaAddress, new_topic

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.keys import id_key
from lakebed.keeper import journal_adoption
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.keeper import Keeper
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.errors import Conflict, JournalFull, StoreUnavailable
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import now

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # noqa: E402

from lakebed.stores.journal.kafka.journal import KafkaJournal  # noqa: E402

ARCHIVE = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive", "buffer": "0s"}


def eventually(true: Callable[[], bool]) -> None:
    within(true, 60)


class Process:
    """Gateways, keepers and an operator on one topic and one catalog.

    Attributes:
        journal: a gateway's, and the operator's.
    """

    def __init__(self, server: KafkaAddress, folder: Path, partitions: int = 2) -> None:
        self.name = new_topic("identity")
        self.url = f"kafka://{server.address}/{self.name}?partitions={partitions}"
        self.admin = AdminClient({"bootstrap.servers": server.address})
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.catalog.put_policies("ann", [ARCHIVE])
        self.opened: list[KafkaJournal] = []
        self.keepers: list[Keeper] = []
        self.series = Rows()
        self.failures: list[BaseException] = []
        self.journal = self.open()

    def open(self) -> KafkaJournal:
        self.opened.append(KafkaJournal(self.url, record=self.catalog))
        return self.opened[-1]

    def keeper(self) -> Keeper:
        made = Keeper(self.open(), self.series, self.catalog, Settings(), self.failures.append)
        self.keepers.append(made)
        made.start()
        return made

    def send(self, numbers: Sequence[int], ids: bool = False) -> None:
        builder = BatchBuilder()
        names = [f"id {n}" for n in numbers]
        sparse = (
            Sparse(ids=names, keys=[id_key("ann", "a", name) for name in names]) if ids else None
        )
        channels = [Channel("ann", f"plant/{n % 16}") for n in numbers]
        payloads = [b"%d" % n for n in numbers]
        builder.extend(channels, payloads, now(), *([sparse] if sparse else []))
        asyncio.run(self._durable(builder))

    async def _durable(self, builder: BatchBuilder) -> None:
        batch = builder.build()
        async with asyncio.timeout(60):
            while True:
                try:
                    await self.journal.append(batch)
                except JournalFull:
                    await asyncio.sleep(0.05)
                else:
                    return

    def kept(self) -> list[int]:
        """What was stored: rows under one key are one."""
        rows = {(row["partition"], row["offset"]): row["number"] for row in self.series.rows}
        return sorted(int(number) for number in rows.values())

    def make_anew(self, partitions: int = 2) -> None:
        self.admin.delete_topics([self.name])[self.name].result(30)
        made = lambda: self.admin.create_topics([NewTopic(self.name, partitions, 1)])  # noqa: E731

        def again() -> bool:
            try:
                made()[self.name].result(30)
            except Exception:
                return False
            return True

        eventually(again)

    def grow(self, partitions: int) -> None:
        asked = self.admin.create_partitions([NewPartitions(self.name, partitions)])
        asked[self.name].result(30)

    def adopt(self) -> int:
        plan = journal_adoption.plan(self.journal, self.catalog)
        assert plan is not None
        lost = journal_adoption.adopt(self.journal, self.catalog, Settings(), plan)
        return journal_adoption.unread(lost)

    def account(self) -> Counter[str]:
        """Flow of the owner, as the API adds it up."""
        ledger = ledgers.load(self.catalog)
        extent = self.journal.extent()
        pending = self.journal.pending(
            {p: ledger.offsets.get(p, first) for p, (first, _) in extent.items()}
        )
        begins = {p: first for p, (first, _) in extent.items()}
        losses = self.catalog.losses() + self.catalog.losing("keeper", begins)
        found = Counter({outcome.reason: n for outcome, n in ledger.totals.items()})
        found["lost"] = sum(loss.owners.get("ann", 0) for loss in losses)
        found["in_flight"] = pending.total()
        return found

    def close(self) -> None:
        for keeper in self.keepers:
            keeper.stop(30)
        for journal in self.opened:
            journal.close()
        self.catalog.close()
        assert not self.failures


@pytest.fixture
def process(kafka_server: KafkaAddress, tmp_path: Path) -> Iterator[Process]:
    made = Process(kafka_server, tmp_path)
    yield made
    made.close()


def assert_closed(process: Process, match: str) -> None:
    eventually(lambda: match in process.journal.health().message)
    builder = BatchBuilder()
    builder.extend([Channel("ann", "t")], [b"1"], now())
    with pytest.raises(JournalFull, match=match):
        asyncio.run(process.journal.append(builder.build()))


@pytest.mark.slow(25)
def test_a_topic_made_anew_is_read_from_its_beginning_once_it_is_adopted(process: Process) -> None:
    keeper = process.keeper()
    process.send(range(40))
    eventually(lambda: process.kept() == list(range(40)))
    keeper.stop(30)
    process.send(range(40, 60))  # never read
    eventually(lambda: process.account()["in_flight"] == 20)
    process.make_anew()
    assert_closed(process, "created again")
    with pytest.raises(StoreUnavailable, match="created again"):
        process.journal.pending({})
    late = process.keeper()  # starts, reads nothing and says so
    eventually(lambda: "created again" in process.opened[-1].health().message)
    assert late.health().ok
    assert process.adopt() == 20
    process.send(range(60, 100))
    eventually(lambda: process.kept() == [*range(40), *range(60, 100)])
    eventually(lambda: process.account() == {"kept": 80, "lost": 20, "in_flight": 0})
    eventually(lambda: not process.journal.differs())
    assert process.journal.damage().messages == 20
    process.journal.acknowledge_damage(process.journal.damage())
    assert not process.journal.damage().known
    assert process.account()["lost"] == 20


@pytest.mark.slow(25)
def test_a_running_keeper_reads_nothing_of_a_topic_that_outgrew_the_old_one(
    process: Process,
) -> None:
    process.keeper()
    for n in range(10):
        process.send(range(n * 16, n * 16 + 16))
    eventually(lambda: process.kept() == list(range(160)))
    process.make_anew()
    stranger = KafkaJournal(process.url)  # a gateway that knows of no catalog
    process.opened.append(stranger)
    process.journal, ours = stranger, process.journal
    for n in range(10, 25):
        process.send(range(n * 16, n * 16 + 16))
    process.journal = ours
    assert_closed(process, "created again")
    eventually(lambda: "created again" in process.opened[1].health().message)
    assert process.kept() == list(range(160))
    assert process.adopt() == 0
    eventually(lambda: process.kept() == list(range(400)))
    eventually(lambda: process.account() == {"kept": 400, "lost": 0, "in_flight": 0})


@pytest.mark.slow(20)
def test_records_that_vanish_unread_stay_counted_and_damage_until_it_is_acknowledged(
    process: Process,
) -> None:
    keeper = process.keeper()
    process.send(range(32))
    eventually(lambda: process.account()["kept"] == 32)
    keeper.stop(30)
    process.send(range(32, 64))
    process.send(range(64, 96))
    eventually(lambda: process.account()["in_flight"] == 64)
    ends = {p: end >> 20 for p, (_, end) in process.journal.extent().items()}
    process.journal._watch.save_appended()
    process.journal._topic.delete({p: end - 1 for p, end in ends.items()})
    assert process.account() == {"kept": 32, "lost": 32, "in_flight": 32}  # before it is noticed
    process.keeper()
    eventually(lambda: process.account() == {"kept": 64, "lost": 32, "in_flight": 0})
    for _ in range(2):  # a keeper that starts again has not forgotten it
        health = process.opened[-1].health()
        assert (health.ok, health.detail["damaged"]) == (False, 32)
        assert "32 messages" in health.message
        process.keepers[-1].stop(30)
        process.keeper()
    assert process.journal.health().ok  # a gateway goes on
    process.journal.acknowledge_damage(process.journal.damage())
    eventually(lambda: process.opened[-1].health().ok)
    assert process.account()["lost"] == 32


@pytest.mark.slow(30)
def test_partitions_that_are_grown_are_used_once_they_are_adopted(process: Process) -> None:
    keeper = process.keeper()
    process.send(range(100), ids=True)
    eventually(lambda: process.account()["kept"] == 100)
    process.grow(3)
    assert_closed(process, "3 partitions, and 2 are in use")
    with pytest.raises(Conflict, match="no multiple"):
        process.adopt()
    process.grow(4)
    eventually(lambda: "has 4 partitions" in process.journal.health().message)
    restarted = process.open()  # one that is started now is no wiser
    assert "has 4 partitions" in restarted.health().message

    def adopted() -> bool:
        try:
            return process.adopt() == 0
        except Conflict:
            return False

    eventually(adopted)
    process.send(range(50, 150), ids=True)  # half of them were stored before
    eventually(lambda: process.account()["kept"] == 150)
    assert process.account() == {"kept": 150, "duplicates": 50, "lost": 0, "in_flight": 0}
    assert process.kept() == list(range(150))
    eventually(lambda: len(keeper.health().detail["behind"]) == 4)
    assert len(process.journal.extent()) == 4
    assert process.journal.holds_older()  # which previews say
