"""One of several processes does a piece of work, and another when nothing is heard of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakebed.backup.lease import TTL, Lease
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
    one, other = (Lease(catalog, "work", alone=False, monotonic=clock) for _ in range(2))
    assert one.acquire()
    for _ in range(3):
        assert not other.acquire()
        clock.now += TTL - 1
        one.renew()
    assert not other.acquire()
    clock.now += TTL
    assert other.acquire()
    one.renew()
    assert one.lost
    assert not other.lost
    assert not one.acquire()


def test_the_only_process_waits_for_nobody(catalog: SqlCatalog) -> None:
    assert Lease(catalog, "work", alone=False).acquire()  # and was killed
    assert Lease(catalog, "work", alone=True).acquire()


def test_work_that_was_ended_is_free(catalog: SqlCatalog) -> None:
    assert Lease(catalog, "work", alone=False).acquire()
    catalog.write_note("work", None)
    assert Lease(catalog, "work", alone=False).acquire()
