"""Widths of windows: how they are written, and which there are."""

import pytest

from lakebed.vocabulary.times import DAY, HOUR
from lakebed.vocabulary.widths import MONTH, WEEK, YEAR, check_width, format_width, parse_width

WRITTEN = [
    ("15m", 15 * 60_000_000, "15m"), ("24h", DAY, "24h"), ("1d", DAY, "24h"),
    ("7d", WEEK, "7d"), ("1w", WEEK, "7d"), ("168h", WEEK, "7d"),
    ("1mo", MONTH, "1mo"), (" 3 mo ", 3 * MONTH, "3mo"), ("12mo", YEAR, "1y"), ("1y", YEAR, "1y"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "micros", "shown"), WRITTEN)
def test_a_width_is_read_and_written(text: str, micros: int, shown: str) -> None:
    assert check_width(parse_width(text)) == micros
    assert format_width(micros) == shown
    assert parse_width(shown) == micros


def test_every_width_is_read_as_it_is_written_and_none_is_two() -> None:
    hours = [hours * HOUR for hours in (1, 2, 3, 4, 6, 8, 12, 24)]
    months = [count * MONTH for count in (1, 2, 3, 4, 6, 12)]
    shown = [format_width(width) for width in [*hours, WEEK, *months]]
    assert len(set(shown)) == len(shown) == 15
    assert [parse_width(text) for text in shown] == [*hours, WEEK, *months]


@pytest.mark.parametrize("text", ["1M", "mo", "-1mo", "1 month", "1mo 1d", "1.5y", "٣mo"])
def test_other_texts_are_no_width(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_width(text)
