"""A broken part is a loss unless what it was merged from is in force again."""

from typing import Any

import pyarrow as pa
import pytest

from lakebed.ports.series import Missing
from lakebed.stores.series.clickhouse.damaged import look

BROKEN = "archive/broken-on-start_202501_2_5_1"


class PartFiles:
    """Answers the two questions: what was put aside, and what is in force."""

    def __init__(self, *there: tuple[str, str, int, int], high: int | None = 5) -> None:
        names = ("table", "partition", "low", "high")
        aside = ("archive", "202501", 2, high)
        self._aside = [{"part": BROKEN, **dict(zip(names, aside, strict=True))}]
        self._there = [dict(zip(names, part, strict=True)) for part in there]

    def query(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        return pa.Table.from_pylist(self._aside if "detached" in sql else self._there)


@pytest.mark.parametrize(
    "there",
    [
        [(2, 2), (3, 4), (5, 5)],
        [(5, 5), (2, 2)],  # inserts that failed leave numbers out
        [(1, 6)],  # merged again since, with others
        [(1, 3), (4, 9)],
    ],
)
def test_a_merge_whose_sources_are_there_costs_nothing(there: list[tuple[int, int]]) -> None:
    series = PartFiles(*(("archive", "202501", *blocks) for blocks in there))
    assert look(series, "lakebed") == Missing(False, covered=(BROKEN,))


@pytest.mark.parametrize(
    "series",
    [
        PartFiles(),
        PartFiles(("archive", "202501", 1, 1), ("archive", "202501", 6, 6)),
        PartFiles(("archive", "202501", 2, 3)),
        PartFiles(("archive", "202501", 3, 5)),
        PartFiles(("archive", "202502", 2, 5)),
        PartFiles(("window", "202501", 2, 5)),
        PartFiles(("archive", "202501", 2, 5), high=None),  # a name that tells nothing
    ],
)
def test_a_part_that_nothing_stands_in_for_is_a_loss(series: Any) -> None:
    assert look(series, "lakebed") == Missing(False, broken=(BROKEN,))
