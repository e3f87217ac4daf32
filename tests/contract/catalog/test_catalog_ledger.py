from contextlib import suppress
from dataclasses import replace

import pytest

from lakebed.ports.catalog.ledger import LedgerSegment, Measure
from lakebed.stores.catalog import ledger
from lakebed.stores.catalog.sql import SqlCatalog
from lakebed.vocabulary.errors import UnknownFormat
from lakebed.vocabulary.times import HOUR

NOON = 1_790_000_000_000_000 // HOUR * HOUR
SEGMENT = LedgerSegment(NOON, Measure.IN, "0", 7, 3, b"\0\xff")


def test_a_segment_replaces_the_one_with_the_same_key(catalog: SqlCatalog) -> None:
    catalog.save_ledger([SEGMENT])
    grown = replace(SEGMENT, rows=5, state=b"x" * 100_000)
    catalog.save_ledger([grown])
    catalog.save_ledger([grown])
    assert list(catalog.ledger(NOON, NOON + HOUR)) == [grown]
    assert catalog.ledger_rows(NOON, NOON + HOUR) == 5


def test_hours_measures_writers_and_beginnings_are_apart(catalog: SqlCatalog) -> None:
    others = [
        replace(SEGMENT, hour=NOON - HOUR),
        replace(SEGMENT, first=8),
        replace(SEGMENT, writer="1"),
        replace(SEGMENT, measure=Measure.OUT),
        replace(SEGMENT, hour=NOON + HOUR),
    ]
    catalog.save_ledger([SEGMENT, *others])
    assert len(list(catalog.ledger(NOON - HOUR, NOON + 2 * HOUR))) == 6
    assert len(list(catalog.ledger(NOON, NOON + HOUR))) == 4
    assert catalog.ledger_rows(NOON, NOON + HOUR) == 12
    assert catalog.ledger_rows(0, NOON - HOUR) == 0
    assert catalog.sampled_hours(0, NOON + HOUR) == 0
    catalog.save_ledger([replace(SEGMENT, measure=Measure.STORED, hour=NOON + i) for i in (0, 5)])
    assert catalog.sampled_hours(0, NOON + HOUR) == 2


def test_old_hours_are_deleted(catalog: SqlCatalog) -> None:
    catalog.save_ledger([replace(SEGMENT, hour=NOON + i * HOUR) for i in range(4)])
    assert catalog.expire_ledger(NOON + 2 * HOUR) == 2
    left = [key.hour for key in catalog.ledger_keys(0, NOON + 9 * HOUR)]
    assert left == [NOON + 2 * HOUR, NOON + 3 * HOUR]


def test_segments_commit_with_what_else_is_written(catalog: SqlCatalog) -> None:
    with suppress(ZeroDivisionError), catalog.transaction():
        catalog.save_ledger([SEGMENT])
        raise ZeroDivisionError
    assert list(catalog.ledger(0, NOON + HOUR)) == []


def test_many_segments_are_read_one_by_one(catalog: SqlCatalog) -> None:
    catalog.save_ledger([replace(SEGMENT, first=i) for i in range(50)])
    reading = catalog.ledger(NOON, NOON + HOUR)
    assert next(reading).first == 0
    reading.close()  # type: ignore[attr-defined]
    assert [segment.first for segment in catalog.ledger(NOON, NOON + HOUR)] == list(range(50))


def test_a_segment_of_a_newer_format_is_refused(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(ledger, "FORMAT", 2)
        catalog.save_ledger([SEGMENT])
    with pytest.raises(UnknownFormat, match="byte ledger has the format 2"):
        list(catalog.ledger(NOON, NOON + HOUR))
