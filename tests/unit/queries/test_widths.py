"""A policy whose windows had several widths: each row says which it has."""

from typing import Any

import pyarrow as pa

from lakebed.policies.document import parse
from lakebed.ports.catalog.policies import StoredPolicy
from lakebed.ports.question import Page, Question
from lakebed.queries.widths import label
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, MINUTE

START = 497_222 * HOUR


def stored(version: int, **more: Any) -> StoredPolicy:
    document = {"name": "w", "topics": ["#"], "type": "number", "keep": "aggregate", "every": "1h"}
    return StoredPolicy("ann", "w", version, document | more, 0, 0)


def labelled(versions: list[StoredPolicy], *rows: tuple[int, int, bool]) -> list[dict[str, Any]]:
    """Rows are (start, width, complete)."""
    policy = parse(versions[-1].document, "ann", versions[-1].version)
    table = pa.table(
        {
            "start": pa.array([start for start, _, _ in rows], pa.int64()),
            "end": pa.array([start + width for start, width, _ in rows], pa.int64()),
            "complete": pa.array([complete for _, _, complete in rows], pa.bool_()),
            "cut": pa.array([False] * len(rows), pa.bool_()),
        }
    )
    shown = label(Page(Question(policy, "#"), table, None), versions).rows.to_pylist()
    return [{k: row[k] for k in ("cut", "every", "timezone") if k in row} for row in shown]


def test_windows_of_one_width_are_left_as_they_are() -> None:
    versions = [stored(1), stored(2, functions=["max"])]
    assert labelled(versions, (START, HOUR, False)) == [{"cut": False}]


def test_each_row_says_its_width_and_open_ones_of_another_width_are_cut() -> None:
    versions = [stored(1), stored(2, every="15m"), stored(3, keep="archive"), stored(4, every="5m")]
    rows = [(START, HOUR, True), (START + HOUR, HOUR, False), (START, 15 * MINUTE, True),
            (START, 5 * MINUTE, False)]  # fmt: skip
    assert labelled(versions[:2] + versions[3:], *rows) == [
        {"cut": False, "every": "1h"},
        {"cut": True, "every": "1h"},
        {"cut": False, "every": "15m"},
        {"cut": False, "every": "5m"},
    ]


def test_weeks_months_and_years_are_told_apart() -> None:
    versions = [stored(1, every="7d"), stored(2, every="1mo"), stored(3, every="1y")]
    # September 2026 has 30 days, and begins on a Tuesday
    rows = [(from_rfc3339("2026-09-07T00:00:00Z"), 7 * DAY, True),
            (from_rfc3339("2026-09-01T00:00:00Z"), 30 * DAY, True),
            (from_rfc3339("2026-01-01T00:00:00Z"), 365 * DAY, False)]  # fmt: skip
    assert [row["every"] for row in labelled(versions, *rows)] == ["7d", "1mo", "1y"]


def test_each_row_says_its_zone() -> None:
    day, berlin = 24 * HOUR, {"every": "24h", "timezone": "Europe/Berlin"}
    midnight = START // day * day
    versions = [stored(1, every="24h"), stored(2, **berlin)]
    assert labelled(versions, (midnight, day, False), (midnight - 2 * HOUR, day, False)) == [
        {"cut": True, "timezone": "UTC"},
        {"cut": False, "timezone": "Europe/Berlin"},
    ]


def test_a_width_that_no_version_has_is_told_by_its_span() -> None:
    """As in a night when clocks change, or of a version that is not known any more."""
    versions = [stored(1), stored(2, every="15m")]
    assert labelled(versions, (START, 24 * HOUR, True)) == [{"cut": False, "every": "24h"}]
