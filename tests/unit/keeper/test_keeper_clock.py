"""The keeper's loop when the wall clock is set back: what waits does not wait for hours."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper.keeper import Keeper
from lakebed.ports.health import Health
from lakebed.runtime.settings import Settings
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import HOUR, SECOND, Micros

NOON: Micros = 1_790_000_000 * SECOND
SOME = {"topics": ["t"], "type": "number"}
POLICIES: list[dict[str, Any]] = [
    {"name": "all", **SOME, "keep": "archive", "buffer": "1m"},
    {"name": "now", **SOME, "keep": "last_value", "every": "1m"},
    {"name": "sums", **SOME, "keep": "aggregate", "every": "1h", "buffer": "1m"},
]


class Rows:
    """A series store that counts the rows of each table."""

    def __init__(self) -> None:
        self.tables: dict[str, int] = {}

    def write(self, table: str, rows: pa.Table) -> None:
        self.tables[table] = self.tables.get(table, 0) + len(rows)

    def health(self) -> Health:
        return Health(True)

    def close(self) -> None:
        pass


class World:
    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.catalog: SqlCatalog = open_catalog("sqlite:catalog.db", folder)
        self.catalog.put_policies("anna", POLICIES)
        self.journal, self.series = MemoryJournal(), Rows()
        self.failed = threading.Event()
        self.keeper = Keeper(
            self.journal, self.series, self.catalog, Settings(), lambda _: self.failed.set(),
            clock=lambda: self.now,
        )  # fmt: skip

    def send(self, payload: bytes) -> None:
        builder = BatchBuilder()
        builder.extend([Channel("anna", "t")], [payload], self.now)
        asyncio.run(self.journal.append(builder.build()))

    def last(self) -> list[float | str]:
        return [value.value for value in self.catalog.last_values("anna", "t")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.keeper.start()
    made.keeper.policies_changed()
    yield made
    made.keeper.stop(5)
    made.catalog.close()
    assert not made.failed.is_set()


def _soon(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not check():
        assert time.monotonic() < until, "it does not come"
        time.sleep(0.02)


def test_what_waits_when_the_clock_is_set_back_is_written(world: World) -> None:
    world.send(b"1")
    _soon(lambda: world.last() == [1])  # a first value is written at once, the rest waits
    world.send(b"2")
    _soon(lambda: world.keeper.health().detail["behind"] == {"0": 0})
    assert world.series.tables == {}
    world.now -= 5 * HOUR
    _soon(lambda: world.series.tables == {"archive": 2, "aggregate": 1})
    _soon(lambda: world.last() == [2])


def test_after_it_was_set_back_values_wait_by_the_clock_as_it_is(world: World) -> None:
    world.send(b"1")
    _soon(lambda: world.last() == [1])
    world.now -= 5 * HOUR
    world.send(b"2")  # of an earlier time than the first: not the last value, but a record
    _soon(lambda: world.keeper.health().detail["behind"] == {"0": 0})
    world.now += 61 * SECOND
    _soon(lambda: world.series.tables.get("archive") == 2)
    world.now += 6 * HOUR
    world.send(b"3")
    _soon(lambda: world.last() == [3])
