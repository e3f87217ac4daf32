"""Relays in one process, with a target that the tests make answer as they wish."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from threading import Event, Lock
from typing import Any
from unittest.mock import Mock

import pytest

from lakebed.egress.guard import Egress
from lakebed.ingest.building import BatchBuilder
from lakebed.ports.catalog.relays import CONSUMER, StoredRelay
from lakebed.ports.relays import Delivery, Refusal, TargetUnavailable
from lakebed.relays import documents, targets
from lakebed.relays.opening import TargetOpener
from lakebed.relays.service import Relays
from lakebed.relays.settings import RelaysSection
from lakebed.relays.state import RelayState
from lakebed.relays.status import states_of
from lakebed.relays.targets.target import Options, Surroundings, TargetKind
from lakebed.secrets.keys import Keys
from lakebed.secrets.resolving import Secrets
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import DAY, now

Answer = Callable[[Delivery], Sequence[Refusal]]


@dataclass
class Place:
    """What a target has taken.

    Attributes:
        answer: decides about each delivery; raises, refuses, or returns ().
        keeps: whether it keeps positions, as exact targets do.
        passwords: that a target was opened with.
    """

    answer: Answer = lambda delivery: ()
    keeps: bool = False
    passwords: set[str] = field(default_factory=set)
    taken: list[tuple[str, bytes | None]] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    tries: int = 0
    positions: dict[tuple[str, int, int], int] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        self.tries += 1
        refusals = self.answer(delivery)
        gone = {refusal.index for refusal in refusals}
        with self.lock:
            self.deliveries.append(delivery)
            fine = [r for i, r in enumerate(delivery.records) if i not in gone]
            self.taken += [(record.topic, record.payload) for record in fine]
            at = delivery.position
            self.positions[(at.relay, at.partition, at.lane)] = at.offset
        return refusals

    @property
    def payloads(self) -> list[bytes | None]:
        with self.lock:
            return [payload for _, payload in self.taken]


@dataclass
class FakeTarget:
    place: Place
    around: Surroundings

    def position(self) -> int | None:
        key = (self.around.relay, self.around.partition, self.around.lane)
        return self.place.positions.get(key) if self.place.keeps else None

    def send(self, delivery: Delivery) -> Sequence[Refusal]:
        return self.place.send(delivery)

    def close(self) -> None: ...


class World:
    """One home, in which relays run again and again."""

    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.journal, self.series = MemoryJournal(), Mock()
        self.failed: list[BaseException] = []
        self.sent: list[tuple[object, ...]] = []  # as the byte ledger is told
        self.places: dict[str, Place] = {}
        self.relays: Relays | None = None
        self.settings = RelaysSection(threads=8)
        # a clock on which each look is a second later, so that nothing is remembered
        self.secrets = Secrets(self.catalog, Keys(folder, None), count().__next__)

    def kind(self, name: str) -> TargetKind:
        def open(options: Options, around: Surroundings) -> FakeTarget:
            place = self.place(options["fake"])
            if "password" in options:
                place.passwords.add(around.secret(options["password"]))
            return FakeTarget(place, around)

        return TargetKind("fake", {"password": "a secret"}, lambda options: (), open, batch=10)

    def place(self, name: str) -> Place:
        return self.places.setdefault(name, Place())

    def start(self) -> Relays:
        self.relays = Relays(
            self.journal, self.series, self.catalog, self.settings,
            TargetOpener(self.secrets, Egress(())), DAY, 0, self.failed.append,
            self.count_sent,
        )  # fmt: skip
        self.relays.look()
        return self.relays

    def count_sent(self, *what: object) -> None:
        self.sent.append(what)

    def stop(self) -> None:
        if self.relays is not None:
            self.relays.stop(4)
            self.relays = None

    def die(self) -> None:
        """End as a process that is killed: nothing is saved from now on."""
        for partition in self.catalog.claimed(CONSUMER):
            self.catalog.claim(CONSUMER, partition)
        self.stop()

    def write(self, name: str, topics: str = "#", **more: Any) -> StoredRelay:
        """Write a relay to the place of its name, beginning now."""
        document = {
            "name": name, "from": {"topics": [topics]}, "to": {"fake": name},
            "retry": {"first": "10ms", "most": "50ms"}, "every": 0,
        } | more  # fmt: skip
        relay = documents.parse(document, "ann")
        ends = {p: end for p, (_, end) in self.journal.extent().items()}
        ((written, _),) = self.catalog.put_relays([replace(relay, starts=ends)])
        self.look()
        return written

    def look(self) -> None:
        if self.relays is not None:
            self.relays.look()
            self.relays.wake()

    def send(self, topic: str, *payloads: bytes) -> None:
        builder = BatchBuilder()
        builder.extend([Channel("ann", topic)] * len(payloads), payloads, now())
        asyncio.run(self.journal.append(builder.build()))

    def state(self, name: str) -> RelayState | None:
        relay = self.catalog.relay("ann", name)
        assert relay is not None
        return states_of(relay, self.catalog).get(0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path)
    monkeypatch.setattr(targets, "kinds", lambda: ("fake",))
    monkeypatch.setattr(targets, "kind", made.kind)
    yield made
    made.stop()
    made.catalog.close()
    assert made.failed == []


def soon(check: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.01)


def away(delivery: Delivery) -> Sequence[Refusal]:
    raise TargetUnavailable("connection refused")


def hanging(until: Event) -> Answer:
    def hang(delivery: Delivery) -> Sequence[Refusal]:
        until.wait(20)
        raise TargetUnavailable("timed out")

    return hang
