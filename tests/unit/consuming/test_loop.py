"""The loop of a consumer, with workers that count: what it owes to workers, chores and callers."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.counting import CONSUMER, Counting, read

from lakebed.consuming.checkpoints import PartitionCheckpoints
from lakebed.consuming.chores import Chore
from lakebed.consuming.loop import ConsumerLoop
from lakebed.ingest.building import BatchBuilder
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.errors import StoreUnavailable, Unavailable, UnknownFormat
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.times import Micros, now

A, B = Channel("ann", "a"), Channel("ann", "b")


class World:
    """One home, in which a consumer runs again and again."""

    def __init__(self, folder: Path) -> None:
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.journal, self.file = MemoryJournal(), folder / "counts.db"
        self.failed: list[BaseException] = []
        self.make: type[Counting] = Counting
        self.chores: Sequence[Chore] = ()
        self.loop: ConsumerLoop[Counting]

    def begin(self) -> ConsumerLoop[Counting]:
        """The consumer of a new process; the journal allows one at a time."""
        self.loop = ConsumerLoop(
            CONSUMER, self.journal, self.catalog, self._worker, read=1000,
            on_failure=self.failed.append,
        )  # fmt: skip
        self.loop.chores = self.chores
        return self.loop

    def start(self) -> None:
        self.begin().start()

    def _worker(self, partition: int, end: int, checkpoints: PartitionCheckpoints) -> Counting:
        return self.make(partition, checkpoints, self.file)

    def send(self, *channels: Channel) -> None:
        builder = BatchBuilder()
        builder.extend(channels, [b"x"] * len(channels), now())
        asyncio.run(self.journal.append(builder.build()))

    def counted(self, *channels: Channel) -> bool:
        return read(self.file) == Counter(channels)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    if made.loop.running:
        made.loop.stop(10)
    made.catalog.close()


def soon(check: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.01)


def test_what_is_sent_is_counted_saved_and_committed(world: World) -> None:
    world.send(A, B, A)
    world.start()
    soon(lambda: world.counted(A, B, A))
    soon(lambda: [p.offset for p in world.journal.positions()] == [3])
    assert world.loop.lag() == {0: 0}


def test_a_stopping_consumer_reads_and_saves_what_is_there_and_the_next_goes_on(
    world: World,
) -> None:
    world.start()
    soon(lambda: bool(world.loop.assignment.workers))
    world.send(A, B)
    world.loop.stop(10)
    assert world.counted(A, B)
    world.send(B)
    world.start()
    soon(lambda: world.counted(A, B, B))
    assert world.failed == []


def test_a_worker_that_fails_ends_the_consumer_and_what_it_had_counted_is_counted_once(
    world: World,
) -> None:
    class Failing(Counting):
        def checkpoint(self, now: Micros, final: bool = False) -> int:
            if read(self._file):
                raise ZeroDivisionError("written, and not saved")
            return super().checkpoint(now, final)

    world.make = Failing
    world.send(A)
    world.start()
    soon(lambda: len(world.failed) == 1)
    assert not world.loop.running
    assert world.counted(A)
    world.make = Counting
    world.send(A)
    world.start()
    soon(lambda: world.counted(A, A))


def test_a_block_of_a_newer_version_lets_the_consumer_save_what_it_has_and_read_nothing_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send(A)
    world.start()
    soon(lambda: world.counted(A))

    def newer(*_: object) -> None:
        raise UnknownFormat("upgrade keepers first")

    with monkeypatch.context() as written:
        written.setattr(world.journal, "read", newer)
        world.send(B)
        soon(lambda: not world.loop.running)
    assert (world.loop.halted, world.failed) == ("upgrade keepers first", [])
    assert not world.loop.assignment.workers
    assert world.counted(A)
    world.start()
    soon(lambda: world.counted(A, B))


def test_a_worker_that_was_superseded_is_let_go_and_the_others_go_on(world: World) -> None:
    world.start()
    world.send(A)
    soon(lambda: world.counted(A))
    world.catalog.claim(CONSUMER, 0)  # by somebody who comes to nothing
    world.send(A)
    soon(lambda: not world.loop.assignment.workers)
    # after some seconds without a word of the journal it asks for the partition anew
    soon(lambda: world.counted(A, A))
    assert world.failed == []


def test_a_store_that_refuses_is_asked_again_and_is_told_of_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, away = world.catalog.save_checkpoints, [StoreUnavailable("away")] * 3

    def refuse(*given: object) -> None:
        if away:
            raise away.pop()
        save(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(world.catalog, "save_checkpoints", refuse)
    world.send(A)
    world.start()
    soon(lambda: world.loop.retry.failing == "away")
    soon(lambda: not away and not world.loop.retry.failing)
    world.loop.stop(10)
    assert world.counted(A)


def test_a_consumer_that_waits_for_a_store_stops_within_its_time(world: World) -> None:
    class Away(Counting):
        def flush(self, now: Micros, final: bool = False) -> None:
            world.loop.retry.until_available(self._refuse)

        def _refuse(self) -> None:
            raise StoreUnavailable("away")

    world.make = Away
    world.start()
    soon(lambda: world.loop.retry.failing == "away")
    world.loop.stop(0.1)
    soon(lambda: not world.loop.running)
    assert world.failed == []


def test_inside_quiesce_everything_read_is_saved_and_nothing_is_written(world: World) -> None:
    world.send(A)
    world.start()
    soon(lambda: world.counted(A))
    with world.loop.quiesce():
        offset = {part.offset for part in world.catalog.checkpoints(CONSUMER)[0]}
        assert offset == {1}
        world.send(B)
        time.sleep(0.5)
        assert world.counted(A)
    soon(lambda: world.counted(A, B))


def test_a_consumer_that_does_not_run_cannot_be_quiesced(world: World) -> None:
    with pytest.raises(Unavailable, match="the counting does not come to rest"):
        world.begin().quiesce().__enter__()


def test_chores_take_their_turn_in_order_and_are_told_when_all_is_read(world: World) -> None:
    said: list[str] = []

    class Saying(Chore):
        def before_poll(self) -> None:
            said.append("poll")

        def before_absorb(self, now: Micros, caught_up: bool) -> None:
            said.append("nothing" if caught_up else "absorb")

        def after_write(self, now: Micros, caught_up: bool) -> None:
            said.append("written")

    class Absorbing(Counting):
        def absorb(self, entries: Sequence[Entry]) -> None:
            said.append("absorbed")
            super().absorb(entries)

    world.make, world.chores = Absorbing, (Saying(),)
    world.send(A)
    world.start()
    soon(lambda: said.count("nothing") >= 1)
    assert said[:4] == ["poll", "absorb", "absorbed", "written"]
    assert said[4:6] == ["poll", "nothing"]
