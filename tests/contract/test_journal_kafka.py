"""What only Kafka can do to us: brokers that go, partitions that move, workers that wake late."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.crash.network import Proxy
from tests.rows import Rows
from tests.servers import kafka, unavailable
from tests.servers.kafka import KafkaServer, new_topic

from lakebed.ingest.building import BatchBuilder
from lakebed.ingest.intake import Intake
from lakebed.ingest.keys import id_key
from lakebed.ingest.offers import Columns
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.keeper import Keeper
from lakebed.policies.outcomes import Outcome
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import open_catalog
from lakebed.stores.journal import blocks
from lakebed.vocabulary.errors import (
    JournalFailed,
    JournalFull,
    SettingsError,
    StoreUnavailable,
    Unavailable,
)
from lakebed.vocabulary.messages import Batch, Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import HOUR, now

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from confluent_kafka import Consumer as KafkaConsumer  # noqa: E402
from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
)

from lakebed.stores.journal.kafka import configuration  # noqa: E402
from lakebed.stores.journal.kafka.address import parse  # noqa: E402
from lakebed.stores.journal.kafka.cluster import Cluster as KafkaCluster  # noqa: E402
from lakebed.stores.journal.kafka.consumer import GroupConsumer  # noqa: E402
from lakebed.stores.journal.kafka.journal import KafkaJournal  # noqa: E402
from lakebed.stores.journal.kafka.topic import Topic  # noqa: E402

_QUICK = "session.timeout.ms=6000&heartbeat.interval.ms=500"
Open = Callable[..., KafkaJournal]


@pytest.fixture(scope="module")
def kafka_server() -> Iterator[KafkaServer]:
    """A broker of its own. Who stops it starts it again."""
    if absent := kafka.missing():
        unavailable(absent)
    with kafka.running() as server:
        yield server


@pytest.fixture
def open_journal(kafka_server: KafkaServer) -> Iterator[Open]:
    """Opens journals on one topic of the test; several are several processes to Kafka."""
    topic = new_topic("faults")
    opened: list[KafkaJournal] = []

    def open(query: str = "partitions=3") -> KafkaJournal:
        opened.append(KafkaJournal(f"kafka://{kafka_server.address}/{topic}?{query}"))
        return opened[-1]

    yield open
    for journal in opened:
        journal.close()


@pytest.fixture
def admin(kafka_server: KafkaServer) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_server.address})


def batch(payloads: Sequence[bytes], channels: int = 8) -> Batch:
    builder = BatchBuilder()
    targets = [Channel("ann", f"plant/{i % channels}") for i in range(len(payloads))]
    builder.extend(targets, payloads, 1_800_000_000_000_000)
    return builder.build()


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % i for i in range(start, stop)]


async def durable(journal: KafkaJournal, what: Batch) -> int:
    """As the intake does it: the same call until it is there. Returns how often it was refused."""
    for refused in count():
        try:
            await journal.append(what)
        except JournalFull:
            continue
        return refused
    raise AssertionError


def by_channel(journal: KafkaJournal) -> dict[Channel, list[bytes]]:
    """Everything in the log, doubles too, in order."""
    found: dict[Channel, list[bytes]] = {}
    for partition, (offset, _) in journal.extent().items():
        while entries := journal.entries(partition, offset, 10_000):
            for entry in entries:
                for code, payload in zip(
                    entry.batch.channel.tolist(), entry.batch.payloads, strict=True
                ):
                    found.setdefault(entry.batch.channels[code], []).append(payload)
            offset = entries[-1].end
    return found


def eventually(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def until(true: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


# --- brokers that go ------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_broker_killed_during_appends_costs_nothing_and_doubles_nothing(
    open_journal: Open, kafka_server: KafkaServer
) -> None:
    journal = open_journal()
    sent = 0
    done = asyncio.Event()

    async def write() -> None:
        nonlocal sent
        while not done.is_set():
            await durable(journal, batch(numbers(sent, sent + 100)))
            sent += 100

    async def fault() -> None:
        for _ in range(2):
            enough = sent + 1000
            await until(lambda: sent >= enough)  # noqa: B023
            await asyncio.to_thread(kafka_server.kill)
            await asyncio.to_thread(kafka_server.start)
        done.set()

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            group.create_task(fault())

    try:
        asyncio.run(both())
    except BaseException:
        kafka_server.kill()
        kafka_server.start()
        raise
    expected = {
        Channel("ann", f"plant/{i}"): [b"%d" % n for n in range(sent) if n % 100 % 8 == i]
        for i in range(8)
    }
    assert by_channel(journal) == expected
    assert journal.health().ok


def test_while_the_broker_hangs_sources_are_held_back_and_nothing_is_sent_twice(
    open_journal: Open, kafka_server: KafkaServer
) -> None:
    journal = open_journal()
    failures: list[BaseException] = []

    async def run() -> int:
        intake = Intake(journal, on_fatal=failures.append, max_pending=2**20)
        await intake.start()
        acknowledged = offered = 0

        def done() -> None:
            nonlocal acknowledged
            acknowledged += 1

        def refused(reason: Unavailable) -> None:
            raise AssertionError("it is not given up")

        kafka_server.pause()
        try:
            deadline = time.monotonic() + 60
            while intake.is_open or "Kafka" not in intake.health().message:
                assert time.monotonic() < deadline
                if intake.is_open:
                    await asyncio.sleep(0.01)
                    columns = Columns([Channel("ann", "a")], [b"%d" % offered], 1)
                    intake.offer(columns, done, refused)
                    offered += 1
                else:  # crowded before the journal was given up on
                    await asyncio.sleep(0.05)
            assert not journal.health().ok
            assert acknowledged < offered
        finally:
            kafka_server.resume()
        await until(lambda: acknowledged == offered)
        await intake.stop()
        return offered

    offered = asyncio.run(run())
    assert not failures
    assert by_channel(journal) == {Channel("ann", "a"): numbers(0, offered)}
    assert journal.health().ok


def test_a_record_that_kafka_refuses_for_good_ends_all_acknowledging(
    open_journal: Open, admin: AdminClient
) -> None:
    journal = open_journal()
    name = str(journal.health().detail["topic"])
    smaller = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[smaller])
    admin.incremental_alter_configs([resource])[resource].result(30)
    noise = random.Random(1).randbytes(20_000)

    def append_until_the_broker_has_heard() -> None:
        for _ in range(1000):
            asyncio.run(durable(journal, batch([noise])))

    with pytest.raises(JournalFailed, match="Kafka"):
        append_until_the_broker_has_heard()
    with pytest.raises(JournalFailed):
        asyncio.run(journal.append(batch([b"x"])))
    assert not journal.health().ok


# --- partitions that move -------------------------------------------------------------------------


class Worker:
    """A consumer on its own thread that commits what it has read, and hands over when asked."""

    def __init__(self, journal: KafkaJournal) -> None:
        self.read: dict[int, list[Entry]] = {}
        self.places: dict[int, int] = {}
        self.gone: list[int] = []
        self._stop = threading.Event()
        self._resume = threading.Event()
        self._resume.set()
        self.consumer = journal.consumer("keeper")
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def assigned(self, partition: int, end: int) -> int | None:
        self.places[partition] = -1
        return None

    def revoked(self, partition: int) -> None:
        self.gone.append(partition)
        place = self.places.pop(partition)
        if place >= 0:
            self.consumer.commit({partition: place})

    def lost(self, partition: int) -> None:
        self.gone.append(partition)
        self.places.pop(partition, None)

    def _run(self) -> None:
        self.consumer.subscribe(self)
        while not self._stop.is_set():
            if not self._resume.is_set():
                self._resume.wait()
                self.consumer.commit(self.places)  # as one who has not heard yet
            for entry in self.consumer.poll(0.2, 100):
                self.read.setdefault(entry.partition, []).append(entry)
                self.places[entry.partition] = entry.end
            self.consumer.commit({p: place for p, place in self.places.items() if place >= 0})
        for partition in list(self.places):
            self.revoked(partition)
        self.consumer.close()

    def pause(self) -> None:
        self._resume.clear()

    def resume(self) -> None:
        self._resume.set()

    def stop(self) -> None:
        self._stop.set()
        self._resume.set()
        self.consumer.wake()
        self.thread.join(60)

    @property
    def payloads(self) -> list[bytes]:
        return [p for entries in self.read.values() for e in entries for p in e.batch.payloads]


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


@pytest.mark.slow(25)
def test_workers_that_stop_while_the_group_waits_for_a_dead_one_leave_it(
    open_journal: Open, kafka_server: KafkaServer
) -> None:
    """One has partitions and commits, one has just come; both have sessions of a minute."""
    patient = "partitions=4&session.timeout.ms=60000&heartbeat.interval.ms=300"
    journal = open_journal(patient)
    topic = str(journal.health().detail["topic"])
    working = Worker(journal)
    workers = [working]
    members = AdminClient({"bootstrap.servers": kafka_server.address})

    def state() -> tuple[str, int]:
        group = f"{topic}:keeper"
        found = members.describe_consumer_groups([group])[group].result(30)
        return found.state.name, len(found.members)

    try:
        eventually(lambda: len(working.places) == 4)
        with Proxy([kafka_server.at.far], port=kafka_server.at.by) as way:
            mortal = KafkaConsumer(
                parse(f"kafka://127.0.0.1:{way.port}/{topic}?session.timeout.ms=16000").member(
                    "keeper"
                )
            )
            mortal.subscribe([topic])
            eventually(lambda: mortal.poll(0.1) is None and len(mortal.assignment()) == 2)
        workers.append(Worker(open_journal(patient)))
        eventually(lambda: state() == ("PREPARING_REBALANCING", 3))
        for i in range(15):
            asyncio.run(durable(journal, batch(numbers(i, i + 40), channels=40)))
            time.sleep(0.1)
        ending = [threading.Thread(target=worker.stop) for worker in workers]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join(9)
            assert not thread.is_alive(), "a process has ten seconds to stop"
        assert state()[0] == "PREPARING_REBALANCING", "the dead one is waited for"
        heir = Worker(open_journal(f"partitions=4&{_QUICK}"))
        workers.append(heir)
        eventually(lambda: len(heir.places) == 4, 30)
        mortal.close()
    finally:
        for worker in workers:
            worker.stop()


# --- what a topic may be --------------------------------------------------------------------------


def test_a_topic_with_other_partitions_is_refused(open_journal: Open) -> None:
    open_journal("partitions=2")
    with pytest.raises(SettingsError, match="2 partitions, not 3"):
        open_journal("partitions=3")
    assert open_journal("").health().detail["partitions"] == 2


def test_a_retention_of_kafkas_own_is_told(kafka_server: KafkaServer, admin: AdminClient) -> None:
    name = new_topic("others")
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "60000"})])[name].result(30)
    journal = KafkaJournal(f"kafka://{kafka_server.address}/{name}")
    health = journal.health()
    journal.close()
    assert not health.ok
    assert "retention" in health.message


def test_records_gone_before_they_were_read_are_told(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    for i in range(3):
        asyncio.run(durable(journal, batch(numbers(i, i + 1))))
    consumer = journal.consumer("keeper")
    consumer.close()
    journal._topic.delete({0: 2})
    consumer = journal.consumer("keeper")
    owner = Places()
    consumer.subscribe(owner)
    assert [entry.batch.payloads for entry in drain(consumer)] == [[b"2"]]
    assert "2 records" in journal.health().message
    consumer.close()


def test_a_partition_emptied_before_it_was_read_is_passed_to_its_end(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    journal.consumer("keeper").close()
    journal._topic.delete({0: 1})
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places())
    (entry,) = drain(consumer)
    assert entry.end == journal.extent()[0][1]
    consumer.close()


class _Dying:
    """An administrative client whose broker dies when it is asked for the consumers."""

    def __init__(self, admin: AdminClient, server: KafkaServer) -> None:
        self._admin, self._server = admin, server
        self.died = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._admin, name)

    def list_consumer_groups(self, **options: Any) -> Any:
        self._server.pause()
        answer = self._admin.list_consumer_groups(**options)
        time.sleep(0.5)  # it is asked, and says nothing
        self._server.kill()
        with suppress(Exception):
            answer.result()
        self._server.start()
        self.died = True
        return answer


@pytest.mark.slow
def test_a_broker_that_dies_while_it_tells_the_consumers_costs_nothing(
    open_journal: Open, kafka_server: KafkaServer
) -> None:
    journal = open_journal("partitions=1")
    consumer = journal.consumer("keeper")
    asyncio.run(durable(journal, batch(numbers(0, 100))))
    kafka = journal._groups._cluster
    dying: Any = _Dying(kafka.admin, kafka_server)
    kafka.admin = dying
    later = journal._clock() + HOUR
    journal._clock = lambda: later  # nothing is young
    assert journal.trim() == 0
    assert dying.died
    kafka.admin = dying._admin
    assert journal.trim() == 0
    assert sum(map(len, by_channel(journal).values())) == 100
    consumer.close()


def test_a_place_behind_the_end_is_not_silently_started_over(open_journal: Open) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places(journal.extent()[0][1] * 5))
    with pytest.raises(StoreUnavailable, match="ends before what was read"):
        consumer.poll(30, 10)
    consumer.close()


def test_a_record_that_is_not_ours_is_passed_over_and_told(
    open_journal: Open, kafka_server: KafkaServer
) -> None:
    journal = open_journal("partitions=1")
    asyncio.run(durable(journal, batch([b"1"])))
    stranger = Producer({"bootstrap.servers": kafka_server.address})
    stranger.produce(journal.health().detail["topic"], b"hello", partition=0)
    assert stranger.flush(30) == 0
    asyncio.run(durable(journal, batch([b"2"])))
    consumer = journal.consumer("keeper")
    consumer.subscribe(Places())
    entries = drain(consumer)
    assert [p for entry in entries for p in entry.batch.payloads] == [b"1", b"2"]
    assert not journal.health().ok
    consumer.close()


class Places:
    def __init__(self, place: int | None = None) -> None:
        self.place = place

    def assigned(self, partition: int, end: int) -> int | None:
        return self.place

    def revoked(self, partition: int) -> None: ...

    def lost(self, partition: int) -> None: ...


def drain(consumer: object) -> list[Entry]:
    assert isinstance(consumer, GroupConsumer)
    found: list[Entry] = []
    while entries := consumer.poll(0, 100):
        found += entries
    return found


# --- keepers --------------------------------------------------------------------------------------


def test_a_keeper_stops_at_a_block_of_a_newer_version_and_leaves_it_to_a_newer_keeper(
    open_journal: Open, kafka_server: KafkaServer, tmp_path: Path
) -> None:
    journal = open_journal("partitions=1")
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    policy = {"name": "all", "topics": ["#"], "type": "number", "keep": "archive"}
    catalog.put_policies("ann", [policy])
    asyncio.run(durable(journal, batch([b"1"])))
    gateway = Producer({"bootstrap.servers": kafka_server.address})
    newer = b"LBK3" + blocks.encode(batch([b"2"]))[4:]
    gateway.produce(journal.health().detail["topic"], newer, partition=0)
    assert gateway.flush(30) == 0
    asyncio.run(durable(journal, batch([b"3"])))
    failures: list[BaseException] = []
    keeper = Keeper(journal, Rows(), catalog, Settings(), failures.append)
    keeper.start()
    try:
        eventually(lambda: "written by a newer version; upgrade" in keeper.health().message)
        assert not keeper.health().ok
        eventually(lambda: journal.readers("keeper") == {})
        assert not journal.damage().known
        assert (journal.positions()[0].offset >> 20) <= 1
        with pytest.raises(Unavailable, match="newer version"):
            journal.pending({})
    finally:
        keeper.stop(10)
        catalog.close()
    assert not failures


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
                ids=[f"id {i}" for i in wanted], keys=[id_key("ann", f"id {i}") for i in wanted]
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


@pytest.mark.slow
def test_a_long_buffer_is_written_before_kafkas_retention_deletes_it(
    kafka_server: KafkaServer, admin: AdminClient, tmp_path: Path
) -> None:
    """A topic that somebody else made, with a retention: read late is lost."""
    retention = 20.0
    name = new_topic("retained")
    kept = {"retention.ms": f"{retention * 1000:.0f}", "segment.ms": "1000"}
    admin.create_topics([NewTopic(name, 1, config=kept)])[name].result(30)
    journal = KafkaJournal(f"kafka://{kafka_server.address}/{name}")
    catalog = open_catalog("sqlite:catalog.db", tmp_path)
    catalog.put_policies(
        "ann",
        [{"name": "rare", "topics": ["#"], "type": "number", "keep": "archive", "buffer": "1h"}],
    )
    rows, failures = Rows(), list[BaseException]()
    keeper = Keeper(journal, rows, catalog, Settings(), failures.append)
    keeper.start()
    stopped = threading.Event()

    def trim() -> None:
        while not stopped.wait(1):
            journal.trim()

    trimming = threading.Thread(target=trim)
    trimming.start()
    try:
        eventually(lambda: partitions(keeper) == 1)
        keeper.policies_changed()  # at a start, when no clock was seen before, all is written
        began = time.monotonic()
        builder = BatchBuilder()
        builder.extend([Channel("ann", "seldom")], [b"1"], now())
        asyncio.run(durable(journal, builder.build()))
        first, end = journal.extent()[0]
        eventually(lambda: rows.rows != [], retention)
        assert time.monotonic() - began > retention / 4  # it waits as long as it may
        # the place that is committed, and not only the rows, is behind what Kafka deletes next
        eventually(lambda: journal.positions()[0].offset >= end, retention)
        eventually(lambda: journal.extent()[0][0] > first)
        assert not journal.damage().known
        pressure = journal.pressure()
        assert pressure is not None
        assert (pressure.by, pressure.full < 0.9) == ("retention", True)
    finally:
        stopped.set()
        trimming.join()
        keeper.stop(30)
        journal.close()
        catalog.close()
    assert not failures


def test_a_retention_that_is_set_while_it_runs_is_noticed(
    open_journal: Open, admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.stores.journal.kafka.watch.FACTS_EVERY", 0.0)
    journal = open_journal("partitions=1")
    consumer = journal.consumer("keeper")
    asyncio.run(durable(journal, batch(numbers(0, 100))))
    journal.trim()
    assert journal.pressure() is None
    for setting, value in (("retention.bytes", "1"), ("retention.ms", str(HOUR // 1000))):
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        name = str(journal.health().detail["topic"])
        resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(30)
        eventually(lambda: journal.trim() == 0 and journal.pressure() is not None)
    pressure = journal.pressure()
    assert pressure is not None
    assert (pressure.by, pressure.full) == ("retention", 1.0)  # nobody has read its few bytes
    assert "retention" in journal.health().message
    consumer.close()


def test_a_single_copy_is_synced_also_where_its_maker_was_killed_at_once(
    kafka_server: KafkaServer,
) -> None:
    address = parse(f"kafka://{kafka_server.address}/{new_topic('killed')}?partitions=1")
    kafka = KafkaCluster(address)
    topic = Topic(kafka)
    configuration.create(kafka, topic.name, 1, configuration.of_log(None))  # and nothing more
    facts = Topic(kafka).open(1000)
    assert (facts.replication, facts.synced, facts.risk) == (1, True, "")
    configuration.leave_syncing(kafka, topic.name)  # as where the cluster keeps more copies
    assert not topic.facts().synced
