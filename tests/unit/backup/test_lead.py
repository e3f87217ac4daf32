"""One of several processes does a piece of work, and another when nothing is heard of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.backup.lead import PATIENCE, Lead
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    made = open_catalog("sqlite:catalog.db", tmp_path)
    yield made
    made.close()


def test_another_takes_over_where_no_beat_came_for_long(catalog: SqlCatalog) -> None:
    clock = Clock()
    one, other = (Lead(catalog, "work", alone=False, monotonic=clock) for _ in range(2))
    assert one.take()
    for _ in range(3):
        assert not other.take()
        clock.now += PATIENCE - 1
        one.beat()
    assert not other.take()
    clock.now += PATIENCE
    assert other.take()
    one.beat()
    assert one.lost
    assert not other.lost
    assert not one.take()


def test_the_only_process_waits_for_nobody(catalog: SqlCatalog) -> None:
    assert Lead(catalog, "work", alone=False).take()  # and was killed
    assert Lead(catalog, "work", alone=True).take()


def test_work_that_was_ended_is_free(catalog: SqlCatalog) -> None:
    assert Lead(catalog, "work", alone=False).take()
    catalog.write_note("work", None)
    assert Lead(catalog, "work", alone=False).take()
