"""What only Kafka can do to us: brokers that hang, die, and refuse for good."""

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.crash.network import Proxy
from tests.servers import kafka, unavailable
from tests.servers.kafka import KafkaServer

from lakebed.ingest.intake import Intake
from lakebed.ingest.offers import Columns
from lakebed.vocabulary.errors import (
    JournalFailed,
    Unavailable,
)
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import HOUR

pytest.importorskip("confluent_kafka")
pytestmark = pytest.mark.server("kafka")

from confluent_kafka import Consumer as KafkaConsumer  # noqa: E402
from confluent_kafka.admin import (  # noqa: E402
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from tests.kafka_journals import (  # noqa: E402
    Open,
    Worker,
    batch,
    by_channel,
    durable,
    eventually,
    numbers,
    until,
)

from lakebed.stores.journal.kafka.address import parse  # noqa: E402

_QUICK = "session.timeout.ms=6000&heartbeat.interval.ms=500"


@pytest.fixture(scope="module")
def kafka_server() -> Iterator[KafkaServer]:
    """A broker of its own. Who stops it starts it again."""
    if absent := kafka.missing():
        unavailable(absent)
    with kafka.running() as server:
        yield server


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
