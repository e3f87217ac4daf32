"""Hours of the byte ledger that are merged into days: the same sums, whatever is interrupted."""

import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from catalog_place import Place

from lakebed.metering.merging import WRITER, Merging, merge_day
from lakebed.metering.partition import CONSUMER
from lakebed.metering.segment import RowKey, of_rows
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.ports.catalog.ledger import LedgerSegment, Measure
from lakebed.queries.ledger import BY, LedgerQuestion, answer
from lakebed.stores.catalog import ledger
from lakebed.stores.catalog.sql import SqlCatalog, open_catalog
from lakebed.vocabulary.times import DAY, HOUR, MINUTE

MONDAY = 1_790_000_000_000_000 // DAY * DAY
TUESDAY = MONDAY + DAY
NOTHING_OPEN = b"\x90"  # an empty list


def segment(
    hour: int, measure: Measure, seed: int, writer: str = "0", first: int = 0
) -> LedgerSegment:
    """Of random rows; a count may be below zero, as of messages that were released."""
    dice = random.Random(seed)
    rows = {
        RowKey(
            dice.choice(("ann", "eve")), dice.choice(("", "unit:u")), f"t/{dice.randrange(9)}",
            dice.choice(("", "raw", "day")),
        ): [dice.randrange(-3, 90), dice.randrange(-9, 9000)]
        for _ in range(dice.randrange(1, 40))
    }  # fmt: skip
    return of_rows(MONDAY + hour * HOUR, measure, writer, first, rows)


def week(catalog: SqlCatalog, hours: int = 48) -> None:
    """Two days by two partitions, one of which has an open segment; and what went out and lay."""
    segments = [
        segment(hour, measure, seed=100 * hour + number, writer=writer, first=hour)
        for hour in range(hours)
        for number, (measure, writer) in enumerate(
            [(Measure.IN, "0"), (Measure.IN, "1"), (Measure.OUT, "abc"), (Measure.STORED, "")]
        )
    ]
    assert catalog.save_ledger(segments) == 0
    opened = Checkpoint("open", 1000, b"\x91\x92" + _packed(MONDAY + 3 * HOUR) + b"\x03")
    catalog.save_checkpoints(CONSUMER, 0, [Checkpoint("open", 1000, NOTHING_OPEN)])
    catalog.save_checkpoints(CONSUMER, 1, [opened])


def _packed(number: int) -> bytes:
    return b"\xcf" + number.to_bytes(8, "big")


def sums(catalog: SqlCatalog, every: str | None = "1d", by: Sequence[str] = BY) -> Any:
    question = LedgerQuestion(
        MONDAY, MONDAY + 3 * DAY, every, tuple(by), lambda _: True, lambda *_: True
    )
    _, groups = answer(catalog, question)
    assert groups.total == answer(catalog, question)[1].total
    return list(groups.rows()), groups.total, catalog.sampled_hours(MONDAY, TUESDAY)


def writers(catalog: SqlCatalog, day: int = MONDAY) -> list[tuple[str, str]]:
    return [(key.measure, key.writer) for key in catalog.ledger_keys(day, day + DAY)]


MERGED = [(Measure.IN, "1"), *((m, WRITER) for m in (Measure.IN, Measure.OUT, Measure.STORED))]


def test_a_day_has_the_sums_of_its_hours_and_what_is_open_stays(catalog: SqlCatalog) -> None:
    week(catalog)
    before, rows = sums(catalog), catalog.ledger_rows(MONDAY, TUESDAY)
    catalog.mark_merged(TUESDAY)
    assert merge_day(catalog, MONDAY)
    assert sorted(writers(catalog)) == sorted(MERGED)
    assert catalog.ledger_rows(MONDAY, TUESDAY) < rows / 4
    assert sums(catalog) == before
    assert before[2] == 24
    assert not merge_day(catalog, MONDAY)


def test_what_comes_later_is_merged_into_the_day(catalog: SqlCatalog) -> None:
    week(catalog)
    catalog.mark_merged(TUESDAY)
    merge_day(catalog, MONDAY)
    late = segment(5, Measure.IN, seed=7, writer="0", first=990)
    catalog.save_ledger([late])
    catalog.save_checkpoints(CONSUMER, 1, [Checkpoint("open", 1001, NOTHING_OPEN)])
    before = sums(catalog)
    assert merge_day(catalog, MONDAY)
    assert sorted(writers(catalog)) == sorted(MERGED[1:])
    assert sums(catalog) == before


def test_a_day_of_very_many_rows_gets_several_segments(catalog: SqlCatalog) -> None:
    week(catalog)
    before = sums(catalog)
    catalog.mark_merged(TUESDAY)
    assert merge_day(catalog, MONDAY, most=100)
    assert writers(catalog).count((Measure.IN, WRITER)) > 1
    assert sums(catalog) == before


def test_a_merge_that_is_interrupted_leaves_the_hours(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    week(catalog)
    before = sums(catalog)
    catalog.mark_merged(TUESDAY)
    with monkeypatch.context() as broken:
        broken.setattr(ledger, "_rows", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            merge_day(catalog, MONDAY)
    assert len(writers(catalog)) == 96
    assert sums(catalog) == before


def _merge_until_killed(url: str, home: Path, statement: int, now: int) -> None:
    """A process that merges, and is killed right before it sends its so many-th statement."""
    counted = itertools.count(1)

    def sent(*_: object) -> None:
        if next(counted) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    catalog = open_catalog(url, home)
    for moment in ("before_cursor_execute", "commit"):
        sqlalchemy.event.listen(sqlalchemy.Engine, moment, sent)
    merging = Merging(catalog, DAY)
    while merging.merge_one(now):
        pass
    os._exit(0)


def test_a_keeper_that_is_killed_at_any_statement_of_a_merge_changes_no_sum(place: Place) -> None:
    catalog = place.open()
    week(catalog, hours=4)
    before, forked = sums(catalog), multiprocessing.get_context("fork")
    codes = []
    for statement in itertools.count(1):
        now = TUESDAY + DAY + statement * 11 * MINUTE  # the claim of the one before has run out
        given = place.url, place.home, statement, now
        catalog.close()  # a file is of one process
        process = forked.Process(target=_merge_until_killed, args=given)
        process.start()
        process.join(60)
        catalog = place.open()
        assert sums(catalog) == before, statement
        codes.append(process.exitcode)
        if process.exitcode != -signal.SIGKILL:
            break
    assert codes[-1] == 0
    assert len(codes) > 10
    assert sorted(writers(catalog)) == sorted(MERGED)


def test_of_two_that_merge_at_once_one_does(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = place.open()
    week(catalog)
    before = sums(catalog)
    catalog.mark_merged(TUESDAY)
    replace, others = catalog.replace_ledger, []

    def interrupted(*arguments: Any) -> bool:
        if not others:
            others.append(True)
            assert merge_day(catalog, MONDAY)
        return replace(*arguments)

    monkeypatch.setattr(catalog, "replace_ledger", interrupted)
    assert not merge_day(catalog, MONDAY)
    assert sums(catalog) == before


def test_one_process_claims_the_merging(catalog: SqlCatalog) -> None:
    assert catalog.claim_merging(100, 200)
    assert not catalog.claim_merging(150, 250)
    assert catalog.claim_merging(200, 300)
    catalog.release_merging()
    assert catalog.claim_merging(201, 300)
    assert catalog.claim_merging(300, 300 + DAY)
    assert catalog.claim_merging(301, 400), "the claim of a clock that was a day ahead"


def test_what_was_sent_or_stored_in_a_merged_hour_is_not_written_again(catalog: SqlCatalog) -> None:
    catalog.mark_merged(TUESDAY)
    catalog.mark_merged(MONDAY)
    assert catalog.merged_before() == TUESDAY
    kinds = (Measure.OUT, Measure.STORED, Measure.IN)
    old = [segment(23, measure, seed=1) for measure in kinds]
    new = [segment(24, measure, seed=1) for measure in kinds]
    assert catalog.save_ledger([*old, *new]) == 2
    assert writers(catalog) == [(Measure.IN, "0")]
    assert len(writers(catalog, TUESDAY)) == 3


def test_hours_are_marked_before_or_after_what_was_sent_is_written(catalog: SqlCatalog) -> None:
    with _meanwhile(lambda: catalog.mark_merged(TUESDAY)) as marked, catalog.transaction():
        catalog.save_ledger([segment(1, Measure.OUT, seed=1)])
        marked.start()
        marked.join(0.2)
        assert marked.is_alive()
    assert catalog.merged_before() == TUESDAY


@contextmanager
def _meanwhile(work: Any) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work)
    yield thread
    thread.join(30)


def test_old_days_are_merged_one_at_a_call(catalog: SqlCatalog) -> None:
    week(catalog)
    before = sums(catalog)
    merging = Merging(catalog, hours=2 * DAY)
    assert not merging.merge_one(MONDAY + 2 * DAY)
    now = MONDAY + 4 * DAY
    merging.look()
    assert [merging.merge_one(now) for _ in range(3)] == [True, True, False]
    assert sorted(writers(catalog)) == sorted(MERGED)
    assert sums(catalog) == before
    merging.look()
    assert not merging.merge_one(now)


def test_nothing_is_merged_while_another_process_does(catalog: SqlCatalog) -> None:
    week(catalog)
    now = MONDAY + 9 * DAY
    assert catalog.claim_merging(now, now + HOUR // 2)
    assert not Merging(catalog, hours=DAY).merge_one(now)
    assert len(writers(catalog)) == 96


def test_merged_hours_answer_by_day(catalog: SqlCatalog) -> None:
    week(catalog)
    catalog.mark_merged(TUESDAY)
    merge_day(catalog, MONDAY)
    rows, _, _ = sums(catalog, every="1h", by=())
    begins = [begin for (begin, _), _ in rows]
    assert begins == [MONDAY, *(TUESDAY + hour * HOUR for hour in range(24))]
    part = LedgerQuestion(
        MONDAY + 5 * HOUR, MONDAY + 7 * HOUR, None, (), lambda _: True, lambda *_: True
    )
    asked, groups = answer(catalog, part)
    assert (asked.start, asked.end) == (MONDAY, TUESDAY)
    assert groups.total == rows[0][1]
