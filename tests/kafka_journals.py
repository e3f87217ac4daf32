"""What the tests of the journal on Kafka share: batches, appends, and what is in the log."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal.kafka.consumer import GroupConsumer
from lakebed.stores.journal.kafka.journal import KafkaJournal
from lakebed.vocabulary.errors import (
    JournalFull,
)
from lakebed.vocabulary.messages import Batch, Channel, Entry

Open = Callable[..., KafkaJournal]


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
