"""Alignment of windows. Expected bounds are read off published tables of clock changes."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import DAY, HOUR, LATEST, MINUTE, SECOND, Micros, to_rfc3339
from lakebed.vocabulary.widths import MONTH, WEEK, YEAR
from lakebed.vocabulary.windows import Alignment

CASES = [
    # UTC: pure arithmetic
    ("UTC", 5 * MINUTE, "2026-01-01T00:04:59.999999Z", "2026-01-01T00:00:00Z", 5 * MINUTE),
    ("UTC", 5 * MINUTE, "2026-01-01T00:05:00Z", "2026-01-01T00:05:00Z", 5 * MINUTE),
    ("UTC", HOUR, "2026-12-31T23:59:59Z", "2026-12-31T23:00:00Z", HOUR),
    ("UTC", 6 * HOUR, "2024-02-29T23:00:00Z", "2024-02-29T18:00:00Z", 6 * HOUR),
    ("UTC", DAY, "2024-02-29T12:00:00Z", "2024-02-29T00:00:00Z", DAY),
    ("UTC", DAY, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", DAY),
    # Berlin 2026: forward on March 29 at 01:00Z, back on October 25 at 01:00Z
    ("Europe/Berlin", DAY, "2026-03-28T12:00:00Z", "2026-03-27T23:00:00Z", DAY),
    ("Europe/Berlin", DAY, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23 * HOUR),
    ("Europe/Berlin", DAY, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25 * HOUR),
    ("Europe/Berlin", 6 * HOUR, "2026-03-29T02:30:00Z", "2026-03-28T23:00:00Z", 5 * HOUR),
    ("Europe/Berlin", 6 * HOUR, "2026-10-25T02:30:00Z", "2026-10-24T22:00:00Z", 7 * HOUR),
    ("Europe/Berlin", 6 * HOUR, "2026-10-25T05:00:00Z", "2026-10-25T05:00:00Z", 6 * HOUR),
    # 02:00 to 04:00 of that night: 2 h on the clock, 1 h and 3 h long
    ("Europe/Berlin", 2 * HOUR, "2026-03-29T01:30:00Z", "2026-03-29T01:00:00Z", HOUR),
    ("Europe/Berlin", 2 * HOUR, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", 3 * HOUR),
    # the repeated hour, 02:00 to 03:00, twice on its own
    ("Europe/Berlin", HOUR, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", HOUR),
    ("Europe/Berlin", HOUR, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", HOUR),
    # half and three-quarter hours: full hours there, not here
    ("Asia/Kolkata", HOUR, "2026-01-01T00:00:00Z", "2025-12-31T23:30:00Z", HOUR),
    ("Asia/Kathmandu", HOUR, "2026-01-01T00:00:00Z", "2025-12-31T23:15:00Z", HOUR),
    ("Asia/Kathmandu", 10 * MINUTE, "2026-01-01T00:00:00Z", "2025-12-31T23:55:00Z", 10 * MINUTE),
    ("Asia/Kathmandu", DAY, "2026-01-01T00:00:00Z", "2025-12-31T18:15:00Z", DAY),
    # Kathmandu went from +5:30 to +5:45 at 1985-12-31T18:30Z: 23:30 became 24:15 … of a new hour
    ("Asia/Kathmandu", HOUR, "1985-12-31T18:29:00Z", "1985-12-31T17:30:00Z", HOUR),
    ("Asia/Kathmandu", HOUR, "1985-12-31T18:30:00Z", "1985-12-31T18:30:00Z", 45 * MINUTE),
    ("Asia/Kathmandu", DAY, "1986-01-01T00:00:00Z", "1985-12-31T18:30:00Z", 23.75 * HOUR),
    # Lord Howe 2026: back by half an hour on April 4 at 15:00Z (02:00 becomes 01:30)
    ("Australia/Lord_Howe", HOUR, "2026-04-04T14:59:00Z", "2026-04-04T14:00:00Z", HOUR),
    ("Australia/Lord_Howe", HOUR, "2026-04-04T15:00:00Z", "2026-04-04T15:00:00Z", 30 * MINUTE),
    ("Australia/Lord_Howe", HOUR, "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z", HOUR),
    ("Australia/Lord_Howe", DAY, "2026-04-04T15:00:00Z", "2026-04-04T13:00:00Z", 24.5 * HOUR),
    # … forward on October 3 at 15:30Z (02:00 becomes 02:30)
    ("Australia/Lord_Howe", HOUR, "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z", 30 * MINUTE),
    ("Australia/Lord_Howe", 15 * MINUTE, "2026-10-03T15:30:00Z", "2026-10-03T15:30:00Z",
     15 * MINUTE),
    # Havana: forward at midnight (March 8, 05:00Z), so that day begins at 01:00
    ("America/Havana", DAY, "2026-03-08T05:00:00Z", "2026-03-08T05:00:00Z", 23 * HOUR),
    ("America/Havana", DAY, "2026-03-08T04:59:59Z", "2026-03-07T05:00:00Z", DAY),
    # … back at 01:00 (November 1, 05:00Z), so midnight comes twice: the day begins with the first
    ("America/Havana", DAY, "2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z", 25 * HOUR),
    ("America/Havana", DAY, "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z", 25 * HOUR),
    # St. John's until 2011: back at 00:01, so 23:01 to 24:00 comes again after midnight
    ("America/St_Johns", DAY, "2010-11-07T02:30:00Z", "2010-11-07T02:30:00Z", 25 * HOUR),
    ("America/St_Johns", DAY, "2010-11-07T02:45:00Z", "2010-11-07T02:30:00Z", 25 * HOUR),
    ("America/St_Johns", DAY, "2010-11-07T02:29:00Z", "2010-11-06T02:30:00Z", DAY),
    # Apia left out December 30, 2011: the 29th ends at 10:00Z, the 31st begins
    ("Pacific/Apia", DAY, "2011-12-30T09:59:59Z", "2011-12-29T10:00:00Z", DAY),
    ("Pacific/Apia", DAY, "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z", DAY),
    # weeks from Monday on, whatever the month and the year
    ("UTC", WEEK, "2026-01-01T00:00:00Z", "2025-12-29T00:00:00Z", 7 * DAY),
    ("UTC", WEEK, "2026-01-04T23:59:59.999999Z", "2025-12-29T00:00:00Z", 7 * DAY),
    ("UTC", WEEK, "2026-01-05T00:00:00Z", "2026-01-05T00:00:00Z", 7 * DAY),
    ("Europe/Berlin", WEEK, "2026-03-29T12:00:00Z", "2026-03-22T23:00:00Z", 7 * DAY - HOUR),
    ("Europe/Berlin", WEEK, "2026-10-25T12:00:00Z", "2026-10-18T22:00:00Z", 7 * DAY + HOUR),
    ("Pacific/Apia", WEEK, "2011-12-30T10:00:00Z", "2011-12-26T10:00:00Z", 6 * DAY),
    # months, quarters, half years and years from local midnight of their first day on
    ("UTC", MONTH, "2024-02-29T23:59:59Z", "2024-02-01T00:00:00Z", 29 * DAY),
    ("UTC", MONTH, "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", 28 * DAY),
    ("UTC", MONTH, "2100-02-28T23:00:00Z", "2100-02-01T00:00:00Z", 28 * DAY),  # no leap year
    ("UTC", MONTH, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 31 * DAY),
    ("Europe/Berlin", MONTH, "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z", 31 * DAY - HOUR),
    ("Europe/Berlin", MONTH, "2026-03-31T22:00:00Z", "2026-03-31T22:00:00Z", 30 * DAY),
    ("Europe/Berlin", MONTH, "2026-10-31T22:59:59Z", "2026-09-30T22:00:00Z", 31 * DAY + HOUR),
    ("Pacific/Apia", MONTH, "2011-12-30T10:00:00Z", "2011-12-01T10:00:00Z", 30 * DAY),
    ("Europe/Berlin", 2 * MONTH, "2026-02-01T00:00:00Z", "2025-12-31T23:00:00Z", 59 * DAY),
    ("Europe/Berlin", 3 * MONTH, "2026-02-01T00:00:00Z", "2025-12-31T23:00:00Z", 90 * DAY - HOUR),
    ("Europe/Berlin", 6 * MONTH, "2026-12-31T22:00:00Z", "2026-06-30T22:00:00Z", 184 * DAY + HOUR),
    ("Europe/Berlin", YEAR, "2026-12-31T22:59:59Z", "2025-12-31T23:00:00Z", 365 * DAY),
    ("Europe/Berlin", YEAR, "2028-07-01T00:00:00Z", "2027-12-31T23:00:00Z", 366 * DAY),
    # Havana: midnight of a Sunday is left out, the week before is whole in days and an hour short
    ("America/Havana", WEEK, "2026-03-08T06:00:00Z", "2026-03-02T05:00:00Z", 7 * DAY - HOUR),
    # Asuncion: clocks went forward at midnight of October 1, 2023: that month begins at 01:00
    ("America/Asuncion", MONTH, "2023-10-01T04:00:00Z", "2023-10-01T04:00:00Z", 31 * DAY - HOUR),
    ("America/Asuncion", MONTH, "2023-10-01T03:59:59Z", "2023-09-01T04:00:00Z", 30 * DAY),
]  # fmt: skip


@pytest.mark.parametrize(("zone", "every", "time", "start", "length"), CASES)
def test_a_time_falls_into_the_window_on_the_wall(
    zone: str, every: Micros, time: str, start: str, length: float
) -> None:
    starts, ends = Alignment(every, zone).bounds(np.array([from_rfc3339(time)], np.int64))
    assert to_rfc3339(starts[0]) == start
    assert ends[0] - starts[0] == length


def test_no_times_have_no_windows() -> None:
    for zone in ("UTC", "Europe/Berlin"):
        for every in (MINUTE, DAY, WEEK, MONTH):
            start, end = Alignment(every, zone).bounds(np.empty(0, np.int64))
            assert start.shape == end.shape == (0,)
            assert start.dtype == end.dtype == np.int64


ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu",
    "America/Havana", "America/St_Johns", "Pacific/Apia", "Africa/Monrovia", "Africa/Casablanca",
]  # fmt: skip
WIDTHS = [
    SECOND, 16 * SECOND, MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR, 12 * HOUR, DAY,
    WEEK, MONTH, 2 * MONTH, 3 * MONTH, 4 * MONTH, 6 * MONTH, YEAR,
]  # fmt: skip
NEAR = st.integers(-2 * DAY, 2 * DAY)
TIMES = st.one_of(
    st.integers(0, LATEST),
    # near changes of clocks, where it gets interesting
    st.builds(
        lambda moment, distance: from_rfc3339(moment) + distance,
        st.sampled_from(
            [
                "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-04-04T15:00:00Z",
                "2026-10-03T15:30:00Z", "2026-03-08T05:00:00Z", "2026-11-01T05:00:00Z",
                "2010-11-07T02:31:00Z", "2011-12-30T10:00:00Z", "1985-12-31T18:30:00Z",
                "1972-01-07T00:44:30Z",
            ]
        ),
        NEAR,
    ),
)  # fmt: skip


@settings(max_examples=300)
@given(st.sampled_from(ZONES), st.sampled_from(WIDTHS), st.lists(TIMES, min_size=1, max_size=30))
def test_windows_cut_time_without_gap_or_overlap(
    zone: str, every: Micros, moments: list[Micros]
) -> None:
    alignment = Alignment(every, zone)
    times = np.array(moments, np.int64)
    start, end = alignment.bounds(times)
    assert (start <= times).all()
    assert (times < end).all()
    # whatever lies in a window says the same of it
    for inside in (start, end - 1, (start + end) // 2):
        again = alignment.bounds(inside)
        assert (again[0] == start).all()
        assert (again[1] == end).all()
    # the next begins where it ends, the one before ends where it begins
    assert (alignment.bounds(end)[0] == end).all()
    assert (alignment.bounds(start - 1)[1] == start).all()
    # one at a time gives what all together give
    assert int(alignment.bounds(times[:1])[0][0]) == int(start[0])


@settings(max_examples=300)
@given(st.sampled_from(ZONES), TIMES)
def test_days_begin_at_midnight_or_at_a_change_of_clocks(zone: str, time: Micros) -> None:
    info = ZoneInfo(zone)
    (start,), _ = Alignment(DAY, zone).bounds(np.array([time], np.int64))
    at, before = (
        datetime.fromtimestamp(int(moment) / SECOND, info) for moment in (start, start - SECOND)
    )
    assert at.utcoffset() != before.utcoffset() or at.strftime("%T") == "00:00:00"
    assert at.date() > before.date()
