"""A preview: the range it looks at, what it counts, what it shows, and where it stops."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from lakebed.ingest.building import BatchBuilder
from lakebed.keeper import preview_rows
from lakebed.keeper.preview import Bounds, Preview, offset_at, preview
from lakebed.keeper.task import PolicyTask
from lakebed.policies.document import parse
from lakebed.policies.outcomes import Outcome
from lakebed.stores.journal.memory import MemoryJournal
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.times import HOUR, MINUTE, SECOND

BEGIN = 1_790_000_000 * SECOND // HOUR * HOUR
RAW = {"name": "raw", "topics": ["room/#"], "type": "number", "keep": "archive"}
WINDOWS = RAW | {"keep": "aggregate", "every": "15m", "functions": ["avg"]}


@pytest.fixture
def journal() -> MemoryJournal:
    """Two hours of one room, a message a minute, every tenth no number."""
    journal = MemoryJournal()
    for minute in range(120):
        payload = b"warm" if minute % 10 == 9 else b"%d" % minute
        append(journal, BEGIN + minute * MINUTE, payload)
    return journal


def append(journal: MemoryJournal, at: int, *payloads: bytes, topic: str = "room/1") -> None:
    builder = BatchBuilder()
    builder.extend([Channel("ann", topic)] * len(payloads), list(payloads), at)
    asyncio.run(journal.append(builder.build()))


def look(journal: MemoryJournal, document: dict[str, Any] = RAW, **bounds: Any) -> Preview:
    return preview(parse(document, "ann"), journal, MINUTE, Bounds(**bounds))


def points(found: Preview) -> list[dict[str, Any]]:
    table = found.points
    assert table is not None
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def test_it_looks_at_all_that_the_journal_holds(journal: MemoryJournal) -> None:
    found = look(journal)
    assert (found.matched, found.rows.count) == (120, 108)
    assert (found.since, found.held) == (BEGIN, BEGIN)
    assert found.until == BEGIN + 119 * MINUTE
    assert found.complete


def test_it_looks_at_the_range_alone_that_is_asked_for(journal: MemoryJournal) -> None:
    found = look(journal, since=BEGIN + HOUR)
    assert (found.matched, found.rows.count) == (60, 54)
    assert (found.since, found.held) == (BEGIN + HOUR, BEGIN)
    assert look(journal, since=BEGIN - HOUR).matched == 120
    assert look(journal, since=BEGIN + 2 * HOUR).matched == 0


def test_the_begin_of_a_range_is_found_within_a_batch_too() -> None:
    journal = MemoryJournal()
    for second in (1, 2, 2, 5):
        append(journal, second * SECOND, *[b"1"] * 3)
    places = [offset_at(journal, 0, 0, 12, second * SECOND) for second in range(7)]
    assert places == [0, 0, 3, 9, 9, 9, 12]


@pytest.mark.parametrize(
    ("bounds", "why"),
    [({"limit": 50}, "too many messages"), ({"patience": -1.0}, "too long")],
)
def test_it_stops_and_says_so(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch, bounds: dict[str, Any], why: str
) -> None:
    monkeypatch.setattr("lakebed.keeper.preview._READ", 10)
    found = look(journal, **bounds)
    assert not found.complete, why
    assert 0 < found.matched < 120
    assert found.until is not None
    assert found.until < BEGIN + 119 * MINUTE


def test_it_stops_at_more_rows_than_it_remembers(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakebed.keeper.preview._READ", 10)
    monkeypatch.setattr(preview_rows, "MOST_REMEMBERED", 5)
    found = look(journal, WINDOWS | {"every": "1m"})
    assert not found.complete
    assert found.rows.count < 20


def test_messages_from_before_the_partitions_grew_count_where_the_range_reaches_them(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "holds_older", lambda: True)
    assert not look(journal).complete
    assert look(journal, since=BEGIN + HOUR).complete


def test_points_keep_the_extremes(journal: MemoryJournal) -> None:
    append(journal, BEGIN + 121 * MINUTE, b"-40", b"900")
    found = points(look(journal, points=10))
    assert 5 <= len(found) <= 10
    assert min(row["min"] for row in found) == -40
    assert max(row["max"] for row in found) == 900
    assert found[0]["first"] == 0
    assert found[-1]["last"] == 900
    assert all(row["end"] < after["start"] for row, after in pairwise(found))


def test_points_of_windows_are_bands(journal: MemoryJournal) -> None:
    found = look(journal, WINDOWS, points=100)
    assert found.rows.count == 8
    rows = points(found)
    assert [(row["min"], row["max"]) for row in rows][:2] == [(0, 14), (15, 28)]
    assert rows[0]["avg"] == pytest.approx(sum(n for n in range(15) if n != 9) / 14)
    assert (rows[0]["start"], rows[0]["end"]) == (BEGIN, BEGIN + 15 * MINUTE)
    assert [row["complete"] for row in rows] == [True] * 7 + [False]


def test_windows_of_large_integers_are_exact() -> None:
    journal = MemoryJournal()
    append(journal, BEGIN, b"9007199254740993", b"9007199254740995")
    (row,) = look(journal, WINDOWS | {"type": "integer"}).rows.newest()
    assert (row["min"], row["max"]) == (9007199254740993, 9007199254740995)


def test_a_window_that_is_written_often_counts_once(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(journal, WINDOWS, points=100)
    monkeypatch.setattr("lakebed.keeper.preview._READ", 7)
    parts = look(journal, WINDOWS, points=100)
    assert (parts.rows.count, parts.rows.size) == (whole.rows.count, whole.rows.size)
    assert points(parts) == points(whole)


def test_points_are_the_same_however_they_come(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(journal, points=20)
    monkeypatch.setattr("lakebed.keeper.reduction._WAITING", 3)
    monkeypatch.setattr("lakebed.keeper.preview._READ", 5)
    assert points(look(journal, points=20)) == points(whole)


def test_few_topics_are_plotted_and_all_are_counted() -> None:
    journal = MemoryJournal()
    for number in range(30):
        append(journal, BEGIN, b"1", topic=f"room/{number}")
    found = look(journal, points=10)
    assert found.to_dict()["topics"] == 30
    assert len({row["topic"] for row in points(found)}) == preview_rows.SERIES


def test_it_shows_the_newest_of_any_kind() -> None:
    journal = MemoryJournal()
    for minute in range(30):
        append(journal, BEGIN + minute * MINUTE, b"a" * 1000, b'{"n": %d}' % minute)
    texts = look(journal, RAW | {"type": "text"}).to_dict()["newest"]
    assert len(texts) == preview_rows.NEWEST
    assert texts[0]["time"] >= texts[-1]["time"]
    assert max(len(row["value"]) for row in texts) == 301
    json = look(journal, RAW | {"type": "json"}, points=5)
    assert json.points is None
    assert json.to_dict()["newest"][0]["value"] == '{"n": 29}'
    windows = look(journal, WINDOWS | {"type": "text", "functions": ["count", "last"]}).to_dict()
    assert windows["newest"][0]["last"] == '{"n": 29}'
    last = look(journal, RAW | {"type": "text", "keep": "last_value"}, points=5)
    assert last.points is None
    assert [row["value"] for row in last.to_dict()["newest"]] == ['{"n": 29}']
    ring = look(journal, RAW | {"type": "text", "keep": "last_n", "count": 3})
    assert ring.rows.count == 3


def test_it_says_why_a_message_would_not_have_been_kept(journal: MemoryJournal) -> None:
    found = look(journal, RAW | {"filter": {"max": 100}})
    assert found.to_dict()["filtered"] == {"max": 17, "not_a_number": 12}
    by_reason: dict[Outcome, list[bytes]] = {}
    for one in found.examples:
        by_reason.setdefault(Outcome(one.outcome), []).append(one.excerpt)
    assert by_reason[Outcome.NOT_A_NUMBER] == [b"warm"] * 5
    assert by_reason[Outcome.MAX] == [b"118", b"117", b"116", b"115", b"114"]


def test_what_the_policy_fails_on_is_a_dead_letter_and_the_others_are_kept(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    absorb = PolicyTask.absorb

    def fails(self: PolicyTask, chunk: Any) -> Any:
        if b"42" in chunk.payloads:
            raise RuntimeError("a bug")
        return absorb(self, chunk)

    monkeypatch.setattr(PolicyTask, "absorb", fails)
    found = look(journal, WINDOWS, points=50)
    answer = found.to_dict()
    assert (answer["dead_letter"], answer["kept"]) == (1, 107)
    assert [one.excerpt for one in found.examples if one.outcome == Outcome.DEAD_LETTER] == [b"42"]
    assert points(found)[2]["max"] == 44
    assert sum(row["count"] for row in points(found)) == 107


def test_counters_and_states_are_shown_as_a_policy_asks_for_them() -> None:
    journal = MemoryJournal()
    for minute, payload in enumerate([b"10", b"25", b"5", b"7"]):
        append(journal, BEGIN + minute * MINUTE, payload)
    counters = WINDOWS | {"functions": ["increase", "time_weighted_avg"]}
    (row,) = look(journal, counters).rows.newest()
    assert row["increase"] == 15 + 5 + 2
    # the window has not ended: the last value holds to its own time
    assert row["time_weighted_avg"] == pytest.approx((10 + 25 + 5) / 3)
    states = WINDOWS | {"type": "text", "functions": ["durations"]}
    (row,) = look(journal, states).rows.newest()
    assert [one["seconds"] for one in row["durations"]] == [60, 60, 60, 0]


def test_windows_of_functions_that_messages_choose_show_their_result() -> None:
    journal = MemoryJournal()
    chosen = WINDOWS | {"functions": ["sum", "avg", "stddev"], "at": "/v", "function_at": "/f"}
    events = [(1, "sum"), (2, "sum"), (3, "avg"), (6, "avg"), (7, "median")]
    events += [(1, "stddev"), (3, "stddev")]
    payloads = [b'{"v": %d, "f": "%b"}' % (v, f.encode()) for v, f in events]
    append(journal, BEGIN, *payloads)
    found = look(journal, chosen, points=10)
    rows = {row["field"]: (row["count"], row["value"]) for row in found.rows.newest()}
    assert rows == {"sum": (2, 3), "avg": (2, 4.5), "stddev": (2, 1)}
    assert {row["field"]: row["max"] for row in points(found)} == {
        "sum": 3, "avg": 4.5, "stddev": 1,
    }  # fmt: skip
    assert found.to_dict()["dead_letter"] == 1
