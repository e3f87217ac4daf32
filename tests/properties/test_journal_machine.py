"""Journals against a list in memory: any order of appends, reads, commits, crashes, trims.

A crash is a copy of the files as they stand between two transactions, opened as a new journal: no
goodbye, no checkpoint. What fsync promises is somebody else's test; here everything that was
written is there.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lakebed.ingest.building import BatchBuilder
from lakebed.stores.journal import writer
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.stores.journal.settings import JournalSection
from lakebed.stores.journal.sqlite import SqliteJournal
from lakebed.vocabulary.messages import Channel, Entry
from lakebed.vocabulary.sparse import Sparse
from lakebed.vocabulary.times import MINUTE, SECOND
from tests.nightly import often

QUICK = Path("/dev/shm")  # where fsync costs nothing; it is not what is tested here
CHANNELS = [Channel("ann", "a"), Channel("ann", "b"), Channel("bob", "a")]
NAMES = st.sampled_from(["keeper", "relay"])
KEYS = st.sampled_from([b"", b"k", b"l", b"kk", b"\xff", b"\xff\x00"])
HORIZON, SPAN = 10 * MINUTE, MINUTE


class Machine(RuleBasedStateMachine):
    """The model: all messages ever appended, how many are gone, known keys, places of consumers."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000 * SECOND
        self.messages: list[tuple[Channel, bytes]] = []
        self.batches: list[tuple[int, int]] = []  # end, when
        self.first = 0
        self.keys: dict[bytes, int] = {}
        self.places: dict[str, int] = {}
        self.opened = self.newest = self.now
        self.written: dict[str, int] = {}  # places that a transaction has surely taken along
        self.readers: dict[str, Any] = {}
        self.read: dict[str, int] = {}

    def open(self) -> Any:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.journal = self.open()

    def old(self, span: int) -> int:
        """What was written before it is older than a span.

        After a start it is unknown how much time has passed since the newest was written, until
        the span has.
        """
        passed = self.now - self.opened
        known = self.now if passed >= span else min(self.now, self.newest + passed)
        return known - span

    # --- the world --------------------------------------------------------------------------------

    @rule(by=st.sampled_from([1, SECOND, MINUTE, 7 * MINUTE]))
    def time_passes(self, by: int) -> None:
        self.now += by

    @rule(
        rows=st.lists(st.tuples(st.sampled_from(CHANNELS), KEYS, st.integers(0, 9000)), max_size=6),
        forget=st.lists(KEYS.filter(bool), max_size=2),
    )
    def append(self, rows: list[tuple[Channel, bytes, int]], forget: list[bytes]) -> None:
        builder, stored, fresh = BatchBuilder(), [], 0
        for i, (channel, key, size) in enumerate(rows):
            payload = b"%d.%d" % (len(self.messages), i) + b"x" * size
            builder.extend([channel], [payload], self.now, Sparse(keys=[key] if key else None))
            if not key or self.keys.get(key, 0) < self.old(HORIZON):
                stored.append((channel, payload))
                fresh += 1
                if key:
                    self.keys[key] = self.now
            else:
                stored.append((channel, b""))  # a duplicate, to be counted
        for key in forget:
            self.keys.pop(key, None)
        assert asyncio.run(self.journal.append(builder.build(), forget)) == fresh
        if stored:
            self.messages += stored
            self.batches.append((len(self.messages), self.now))
        if rows or forget:
            self.written = dict(self.places)

    @rule()
    def trim(self) -> None:
        floor = min(self.places.values(), default=len(self.messages))
        before = self.first
        while self.batches and self.batches[0][0] <= floor and self.batches[0][1] < self.old(SPAN):
            self.first = self.batches.pop(0)[0]
        self.keys = {key: at for key, at in self.keys.items() if at >= self.old(HORIZON)}
        assert self.journal.trim() == self.first - before
        self.written = dict(self.places)

    # --- consumers --------------------------------------------------------------------------------

    @rule(name=NAMES, limit=st.integers(1, 20))
    def poll(self, name: str, limit: int) -> None:
        if name not in self.readers:
            self.places.setdefault(name, 0)
            self.readers[name] = self.journal.consumer(name)
            self.read[name] = max(self.places[name], self.first)
        found = self.readers[name].poll(0, limit)
        start = self.read[name]
        assert contents(found) == self.messages[start : start + len(contents(found))]
        assert all(entry.offset >= start for entry in found)
        self.read[name] += len(contents(found))
        if not found:
            assert self.read[name] == len(self.messages)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def commit(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.readers)))
        place = data.draw(st.integers(0, self.read[name]))
        self.readers[name].commit({0: place})
        self.places[name] = max(place, self.places[name])

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def a_consumer_leaves(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.readers)))
        self.readers.pop(name).close()
        del self.read[name]

    # --- questions --------------------------------------------------------------------------------

    @rule(data=st.data(), limit=st.integers(1, 50))
    def look(self, data: st.DataObject, limit: int) -> None:
        start = data.draw(st.integers(0, len(self.messages) + 2))
        held = self.messages[max(start, self.first) :]
        found = contents(self.journal.entries(0, start, limit))
        assert found == held[: len(found)]
        assert bool(found) == bool(held)
        expected = Counter(channel for channel, _ in held)
        assert self.journal.pending({0: start}) == expected

    @rule(prefix=st.sampled_from([b"", b"k", b"\xff", b"z"]))
    def known(self, prefix: bytes) -> None:
        alive = [key for key, at in self.keys.items() if at >= self.old(HORIZON)]
        assert self.journal.known(prefix) == sorted(key for key in alive if key.startswith(prefix))

    @invariant()
    def the_extent_is_right(self) -> None:
        if hasattr(self, "journal"):
            assert self.journal.extent() == {0: (self.first, len(self.messages))}
            assert self.journal.health().ok

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()


def contents(entries: list[Entry]) -> list[tuple[Channel, bytes]]:
    return [
        (entry.batch.channels[code], payload)
        for entry in entries
        for code, payload in zip(entry.batch.channel.tolist(), entry.batch.payloads, strict=True)
    ]


class InMemory(Machine):
    def open(self) -> Any:
        options = JournalSection(id_horizon=HORIZON, span=SPAN)
        return MemoryJournal(options, clock=self.clock, passed=self.clock)

    def clock(self) -> int:
        return self.now


class InSqlite(Machine):
    def __init__(self) -> None:
        super().__init__()
        place = QUICK if QUICK.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="lakebed-machine-", dir=place))
        self.lives = 0
        self.cache = 0

    @initialize(cache=st.sampled_from([0, 4000, 2**20]))
    def choose_cache(self, cache: int) -> None:
        self.cache = cache

    def open(self) -> Any:
        return SqliteJournal(
            self.folder / str(self.lives) / "journal.db",
            JournalSection(id_horizon=HORIZON, span=SPAN),
            cache=self.cache,
            clock=lambda: self.now,
            passed=lambda: self.now,
        )

    @rule()
    def crash(self) -> None:
        before = self.folder / str(self.lives)
        self.lives += 1
        after = self.folder / str(self.lives)
        after.mkdir()

        def copy(_: Any) -> None:  # on the thread that writes: between two transactions
            for suffix in ("", "-wal"):
                shutil.copy(before / f"journal.db{suffix}", after)

        self.journal._writer.submit(copy).result()
        self._again()

    @rule()
    def stop_and_start(self) -> None:
        self.written = dict(self.places)
        self._again()

    def _again(self) -> None:
        self.journal.close()
        self.opened = self.now
        written = [*(when for _, when in self.batches), *self.keys.values()]
        self.newest = max(written, default=self.now)
        self.journal = self.open()
        self.readers.clear()
        self.read.clear()
        for name, latest in list(self.places.items()):
            place = self.journal.committed(name)
            if place is None:
                assert name not in self.written
                del self.places[name]
            else:
                assert self.written.get(name, 0) <= place <= latest
                self.places[name] = place

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


@pytest.mark.slow
@pytest.mark.timeout(0 if often(0, 1) else 600)
@pytest.mark.parametrize(("machine", "examples"), [(InMemory, 200), (InSqlite, 120)])
def test_a_journal_does_what_a_list_would(
    machine: type[Machine], examples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # often, as a busy journal of weeks has had
    monkeypatch.setattr(writer, "_CHECKPOINT", 12 * 1024)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=often(examples, 10_000),
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
