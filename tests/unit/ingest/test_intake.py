"""The intake: one append at a time, acknowledgements in order and never too early."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Any

import pytest

from lakebed.ingest.intake import Intake
from lakebed.ingest.offers import Columns
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.vocabulary.errors import JournalFailed, JournalFull, Unavailable
from lakebed.vocabulary.messages import Batch, Channel
from lakebed.vocabulary.sparse import Sparse

A = Channel("ann", "plant/a")


class Held(MemoryJournal):
    """A journal in memory whose appends wait for permission, and may be told to fail."""

    def __init__(self) -> None:
        super().__init__(JournalSection(url="memory:"))
        self.may = asyncio.Event()
        self.may.set()
        self.refuse: list[Exception] = []
        self.calls: list[tuple[list[bytes], list[bytes]]] = []
        self.trims = 0

    async def append(self, batch: Batch, release: Sequence[bytes] = ()) -> int:
        self.calls.append((list(batch.payloads), list(release)))
        await self.may.wait()
        if self.refuse:
            raise self.refuse.pop(0)
        return await super().append(batch, release)

    def trim(self) -> int:
        self.trims += 1
        return super().trim()


class Door:
    """An intake with what was acknowledged, how its gates moved, and what was fatal."""

    def __init__(self, journal: Held, **options: Any) -> None:
        self.journal = journal
        self.done: list[Any] = []
        self.refused: list[tuple[Any, str]] = []
        self.gates: list[bool] = []
        self.fatal: list[BaseException] = []
        options.setdefault("timeout", 0.05)
        self.intake = Intake(journal, on_fatal=self.fatal.append, **options)

    def offer(
        self,
        name: str,
        count: int = 1,
        size: int = 1,
        *,
        keys: Sequence[bytes] | None = None,
        release: Sequence[bytes] = (),
        **how: Any,
    ) -> None:
        payloads = [name.encode().ljust(size)] * count
        columns = Columns([A] * count, payloads, 1, Sparse(keys=keys), release)
        self.intake.offer(
            columns,
            lambda: self.done.append(name),
            lambda reason: self.refused.append((name, str(reason))),
            **how,
        )

    async def append(self, payload: bytes, **columns: Any) -> None:
        await self.intake.append(Columns([A], [payload], 1, Sparse(**columns)))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110  # of conditions that set no event
                await asyncio.sleep(0.001)

    async def all_done(self, count: int) -> None:
        await self.until(lambda: len(self.done) >= count)


def story(tell: Callable[[Door], Awaitable[None]], **options: Any) -> None:
    """Run a story with a started intake, and stop it afterwards."""

    async def run() -> None:
        door = Door(Held(), **options)
        await door.intake.start()
        door.intake.watch(door.gates.append)
        await tell(door)
        await door.intake.stop()

    asyncio.run(run())


def test_nothing_is_acknowledged_before_the_append_returned() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("a")
        await door.until(lambda: len(door.journal.calls) == 1)
        await asyncio.sleep(0.01)
        assert door.done == []
        door.journal.may.set()
        await door.all_done(1)

    story(tell)


def test_offers_accumulate_while_an_append_runs_and_are_acknowledged_in_order() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("0")
        await door.until(lambda: len(door.journal.calls) == 1)
        for i in range(1, 100):
            door.offer(str(i))
        door.journal.may.set()
        await door.all_done(100)
        assert door.done == [str(i) for i in range(100)]
        assert [len(payloads) for payloads, _ in door.journal.calls] == [1, 99]
        assert door.intake.accepted == 100
        assert door.intake.appended_batches == 2

    story(tell)


class Device:
    """Sends one message at a time, as a device does that waits for each answer."""

    def __init__(self, door: Door, timeout: float = inf) -> None:
        self.door = door
        self.timeout = timeout

    def durable_one(self, mark: bytes) -> None:
        self.door.done.append(mark.decode())

    def refused_one(self, mark: bytes, reason: Unavailable) -> None:
        self.door.refused.append((mark.decode(), str(reason)))

    def send(self, name: str) -> None:
        singles = self.door.intake.singles
        singles.channels.append(A)
        singles.payloads.append(name.encode())
        singles.received.append(7)
        singles.marks.append(name.encode())
        singles.senders.append(self)
        self.door.intake.single_added(len(singles.payloads))


class Gone(Device):
    def durable_one(self, mark: bytes) -> None:
        raise OSError("the connection is gone")


def alone(door: Door, name: str) -> None:
    Device(door).send(name)


def test_singles_stand_among_the_others_in_their_order() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        alone(door, "first")
        await door.until(lambda: len(door.journal.calls) == 1)
        alone(door, "a")
        alone(door, "b")
        door.offer("two", count=2)
        alone(door, "c")
        alone(door, "last")
        door.journal.may.set()
        await door.all_done(6)
        assert door.done == ["first", "a", "b", "two", "c", "last"]
        [_, (payloads, _)] = door.journal.calls
        assert payloads == [b"a", b"b", b"two", b"two", b"c", b"last"]

    story(tell)


def test_many_singles_are_counted_as_they_come_while_an_append_runs() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("0")
        await door.until(lambda: len(door.journal.calls) == 1)
        for i in range(1, 3000):
            alone(door, str(i))
        pending = door.intake.health().detail["pending"]
        assert pending > 2700 * 64, "what waits is not seen"
        door.journal.may.set()
        await door.all_done(3000)
        assert door.done == [str(i) for i in range(3000)]
        assert door.intake.health().detail["pending"] == 0

    story(tell)


def test_a_single_whose_sender_cannot_be_told_does_not_keep_the_others() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("0")
        await door.until(lambda: len(door.journal.calls) == 1)
        alone(door, "a")
        Gone(door).send("b")
        alone(door, "c")
        door.journal.may.set()
        await door.all_done(3)
        assert door.done == ["0", "a", "c"]

    story(tell)


def test_very_many_messages_are_split_into_several_appends_at_the_edges_of_offers() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("0")
        await door.until(lambda: len(door.journal.calls) == 1)
        for i in range(1, 6):
            door.offer(str(i), count=20_000)
        door.journal.may.set()
        await door.all_done(6)
        assert [len(p) for p, _ in door.journal.calls] == [1, 60_000, 40_000]
        assert door.done == [str(i) for i in range(6)]

    story(tell)


def test_one_failing_acknowledgement_does_not_keep_the_others() -> None:
    async def tell(door: Door) -> None:
        def broken() -> None:
            raise RuntimeError("a connection that is gone")

        door.intake.offer(Columns([A], [b"x"], 1), broken, door.refused.append)
        door.offer("b")
        await door.all_done(1)
        assert door.intake.accepted == 2
        assert door.fatal == []

    story(tell)


def test_duplicates_are_acknowledged_and_counted() -> None:
    async def tell(door: Door) -> None:
        door.offer("a", keys=[b"k"])
        door.offer("b", keys=[b"k"])
        await door.all_done(2)
        assert (door.intake.accepted, door.intake.duplicates) == (1, 1)

    story(tell)


def test_an_offer_may_only_forget() -> None:
    async def tell(door: Door) -> None:
        door.offer("a", keys=[b"k"])
        await door.all_done(1)
        door.offer("release", count=0, release=[b"k"])
        await door.all_done(2)
        assert door.journal.known(b"") == []

    story(tell)


def test_a_key_released_and_used_anew_in_one_append_is_a_new_message() -> None:
    async def tell(door: Door) -> None:
        door.offer("first", keys=[b"k"])
        await door.all_done(1)
        door.journal.may.clear()
        door.offer("hold")
        await door.until(lambda: len(door.journal.calls) == 2)
        door.offer("release", count=0, release=[b"k"])
        door.offer("second", keys=[b"k"])
        door.journal.may.set()
        await door.all_done(4)
        assert door.intake.accepted == 3
        assert door.journal.known(b"") == [b"k"]

    story(tell)


# --- commit_delay ---------------------------------------------------------------------------------


def test_messages_wait_for_others_to_share_their_append() -> None:
    async def tell(door: Door) -> None:
        began = asyncio.get_running_loop().time()
        for i in range(5):
            door.offer(str(i))
            alone(door, f"alone {i}")
            await asyncio.sleep(0.01)
        assert door.journal.calls == []
        await door.all_done(10)
        assert asyncio.get_running_loop().time() - began >= 0.2
        assert len(door.journal.calls) == 1
        door.offer("next")
        await door.all_done(11)
        assert len(door.journal.calls) == 2

    story(tell, delay=0.2)


def test_many_messages_wait_for_nobody() -> None:
    async def tell(door: Door) -> None:
        for count in range(1, 6):  # as senders do that have so many unacknowledged
            for i in range(4):
                door.offer(str(i), count=100)
            await door.all_done(4 * count)
        for count in range(1, 6):
            for i in range(300):
                alone(door, str(i))
            await door.all_done(20 + 300 * count)
        door.offer("large", count=60_000)
        await door.all_done(21 + 1500)

    story(tell, delay=3600.0)


def test_what_waits_for_others_is_appended_when_the_process_stops() -> None:
    async def tell(door: Door) -> None:
        door.offer("a")
        await asyncio.sleep(0.01)
        await door.intake.stop()
        assert door.done == ["a"]

    story(tell, delay=3600.0)


def test_what_waits_for_others_is_appended_once_there_is_no_time_to_wait() -> None:
    async def tell(door: Door) -> None:
        door.offer("a")
        await asyncio.sleep(0.01)
        door.intake.end_delay()
        await door.all_done(1)
        door.offer("b")
        await door.all_done(2)

    story(tell, delay=3600.0)


def test_a_crowd_shuts_the_gates_until_half_of_it_is_through() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("0")
        await door.until(lambda: len(door.journal.calls) == 1)
        for i in range(20):
            door.offer(str(i), size=1000)
        assert door.gates == [False]
        assert not door.intake.is_open
        door.journal.may.set()
        await door.all_done(21)
        assert door.gates == [False, True]
        assert door.intake.is_open

    story(tell, max_pending=10_000)


def test_a_full_journal_holds_sources_back_and_tries_the_same_batch_again() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room"), JournalFull("no room")]
        door.offer("a")
        await door.until(lambda: not door.intake.is_open)
        assert not door.intake.health().ok
        assert door.done == []
        door.offer("b")  # was on its way when the gates shut
        await door.all_done(2)
        assert [p for p, _ in door.journal.calls] == [[b"a"], [b"a"], [b"a"], [b"b"]]
        assert door.journal.trims == 2
        assert door.gates == [False, True]
        assert door.intake.health().ok

    story(tell)


def test_after_a_failed_append_nothing_is_acknowledged_any_more() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFailed("fsync")]
        door.offer("a")
        await door.until(lambda: bool(door.fatal))
        door.offer("b")
        alone(door, "c")
        await asyncio.sleep(0.01)
        assert door.done == []
        assert [name for name, _ in door.refused] == ["a", "b", "c"]
        assert all("fsync" in reason for _, reason in door.refused)
        assert len(door.fatal) == 1
        assert not door.intake.is_open
        with pytest.raises(Unavailable, match="fsync"):
            await door.append(b"c")

    story(tell)


def test_append_returns_when_durable() -> None:
    async def tell(door: Door) -> None:
        await door.append(b"x", ids=["i"], keys=[b"k"])
        assert door.journal.end == 1

    story(tell)


def test_append_gives_up_on_a_full_journal() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room")] * 100
        with pytest.raises(JournalFull):
            await door.append(b"x")
        with pytest.raises(JournalFull):
            await door.append(b"y")
        door.journal.refuse.clear()
        await door.until(lambda: door.intake.is_open)
        await door.append(b"z")

    story(tell)


# --- time-outs ------------------------------------------------------------------------------------


def test_offers_whose_time_out_is_over_are_refused_and_the_others_wait() -> None:
    async def tell(door: Door) -> None:
        door.journal.may.clear()
        door.offer("first", timeout=0.2)
        await door.until(lambda: len(door.journal.calls) == 1)
        door.offer("quick", timeout=0.2)
        door.offer("slow", timeout=60)
        door.offer("never")
        Device(door, 0.2).send("single")
        Device(door).send("endless")
        await door.until(lambda: len(door.refused) == 3)
        assert [name for name, _ in door.refused] == ["first", "quick", "single"]
        assert all("not durable yet" in reason for _, reason in door.refused)
        assert door.done == []
        door.journal.may.set()
        await door.all_done(3)
        assert door.done == ["slow", "never", "endless"]
        assert door.intake.accepted == 6  # what was refused may become durable all the same
        assert len(door.refused) == 3

    story(tell)


def test_a_full_journal_refuses_offers_with_a_time_out_before_it_is_over() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room")] * 4
        door.offer("request", timeout=60)
        door.offer("device")
        Device(door, 60).send("single")
        await door.until(lambda: len(door.refused) == 2)
        assert door.refused == [("request", "no room"), ("single", "no room")]
        await door.all_done(1)
        assert door.done == ["device"]

    story(tell)


def test_an_offer_with_a_time_out_waits_at_a_shut_gate() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room")] * 2
        door.offer("device")
        await door.until(lambda: not door.intake.is_open)
        door.offer("request", timeout=60)
        await door.all_done(2)
        assert door.done == ["device", "request"]

    story(tell, timeout=60)


def test_whoever_waits_too_long_at_a_shut_gate_is_refused_and_never_stored() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room")] * 4
        door.offer("device")
        await door.until(lambda: not door.intake.is_open)
        door.offer("request", timeout=60)
        await door.until(lambda: bool(door.refused))
        assert door.refused == [("request", "no room")]
        await door.all_done(1)
        await door.append(b"next")
        assert door.journal.end == 2

    story(tell)


def test_what_waits_at_the_gate_is_refused_when_the_process_stops() -> None:
    async def tell(door: Door) -> None:
        door.offer("request", timeout=60)
        assert door.refused == []
        await door.intake.stop()
        assert door.refused == [("request", "the process is stopping")]

    story(tell, room=lambda: False)


def test_a_nearly_full_disk_shuts_the_gates() -> None:
    async def tell(door: Door) -> None:
        assert door.gates == [False]
        assert "disk" in door.intake.health().message

    story(tell, room=lambda: False)


def test_stop_finishes_what_was_offered_and_takes_no_more() -> None:
    async def tell(door: Door) -> None:
        door.offer("a")
        door.offer("b")
        await door.intake.stop()
        assert door.done == ["a", "b"]
        door.offer("c")
        alone(door, "e")
        assert door.refused == []  # never within the call
        await asyncio.sleep(0)
        assert door.refused == [(name, "the process is stopping") for name in "ce"]
        assert door.gates == [False]
        with pytest.raises(Unavailable, match="stopping"):
            await door.append(b"d")

    story(tell)


def test_stop_gives_up_on_a_journal_without_room() -> None:
    async def tell(door: Door) -> None:
        door.journal.refuse = [JournalFull("no room")] * 10_000
        door.offer("a")
        alone(door, "b")
        async with asyncio.timeout(20):
            await door.intake.stop()
        assert door.done == []
        assert door.refused == [("a", "no room"), ("b", "no room")]

    story(tell)


def test_sources_that_pipeline_share_an_append_until_one_comes_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lakebed.ingest.batching._STEP", 0.5)

    async def main() -> None:
        door = Door(Held())
        await door.intake.start()
        door.offer("a", urgent=False)
        for _ in range(5):
            await asyncio.sleep(0)
        door.offer("b", urgent=False)
        await door.all_done(2)
        assert [payloads for payloads, _ in door.journal.calls] == [[b"a", b"b"]]
        door.offer("c", urgent=False)
        door.offer("d")
        await door.all_done(4)
        assert door.done == ["a", "b", "c", "d"]
        await door.intake.stop()

    asyncio.run(main())
