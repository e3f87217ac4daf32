from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.times import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    check_clock,
    format_duration,
    from_datetime,
    from_epoch,
    from_rfc3339,
    parse_duration,
    parse_time,
    to_datetime,
    to_rfc3339,
)

NOON = 1_769_860_800 * SECOND  # 2026-01-31T12:00:00Z, by `date -u -d @1769860800`
YEARS = (-62_135_596_800 * SECOND, 253_402_300_800 * SECOND - 1)
instants = st.integers(*YEARS)


@given(instants)
def test_every_instant_survives_being_written_and_read(micros: int) -> None:
    assert from_rfc3339(to_rfc3339(micros)) == micros
    assert from_datetime(to_datetime(micros)) == micros


@given(
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),
    st.timedeltas(timedelta(hours=-14), timedelta(hours=14)),
)
def test_a_time_with_an_offset_is_the_instant_it_means(moment: datetime, offset: timedelta) -> None:
    zone = timezone(timedelta(minutes=offset // timedelta(minutes=1)))
    try:
        local = moment.astimezone(zone)
    except OverflowError:
        return
    assert from_rfc3339(local.isoformat()) == from_datetime(moment)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (NOON, "2026-01-31T12:00:00Z"),
        (NOON + 500_000, "2026-01-31T12:00:00.500Z"),
        (NOON + 1, "2026-01-31T12:00:00.000001Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999999Z"),  # what no text can say: the nearest
        (-(2**63), "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_as_rfc_3339_in_utc(micros: int, text: str) -> None:
    assert to_rfc3339(micros) == text


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),  # section 5.6: letters may be small
        ("2026-01-31 12:00:00Z", NOON),  # and a space may stand for the T
        ("2026-01-31T14:30:00+02:30", NOON),
        ("2026-01-31T12:00:00-00:00", NOON),
        ("2026-01-31T12:00:00.5Z", NOON + 500_000),
        ("2026-01-31T12:00:00.123456789Z", NOON + 123_456),
    ],
)
def test_rfc_3339_is_read(text: str, micros: int) -> None:
    assert from_rfc3339(text) == micros
    assert parse_time(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-31",
        "2026-01-31T12:00Z",
        "2026-01-31T12:00:00",  # no offset
        "2026-02-29T12:00:00Z",  # not a leap year
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00Z\n",
        "٢٠٢٦-01-31T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",  # lies in the year 0, in UTC
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_what_is_no_rfc_3339_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|outside of the years"):
        from_rfc3339(text)


@given(st.floats(-9e9, 9e9))
def test_epoch_seconds_are_rounded_to_the_microsecond(seconds: float) -> None:
    assert abs(from_epoch(seconds) - seconds * SECOND) <= 0.5 + abs(seconds) * SECOND * 2e-16


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (1_769_860_800, NOON),
        (1_769_860_800.25, NOON + 250_000),
        ("1769860800", NOON),
        ("1769860800.25", NOON + 250_000),
        ("1.7698608e9", NOON),
        ("-1", -SECOND),
        (0, 0),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), NOON),
        (datetime(2026, 1, 31, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
    ],
)
def test_a_time_is_epoch_seconds_or_rfc_3339(value: object, micros: int) -> None:
    assert parse_time(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        None, True, [], b"1", "", "nan", "inf", "1_000", "١٢", "0x10", " 1", "9" * 5000,
        float("nan"), float("inf"), 9e12, -9e12, 10**400, datetime(2026, 1, 31),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"time"):
        parse_time(value)


@given(st.integers(0, 2**63 - 1))
def test_a_duration_is_written_so_that_it_reads_the_same(micros: int) -> None:
    assert parse_duration(format_duration(micros)) == micros


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0s", 0),
        ("250ms", 250_000),
        ("15m", 15 * MINUTE),
        ("1.5h", 90 * MINUTE),
        (" 7 d ", 7 * DAY),
        ("2w", 14 * DAY),
        ("0.1s", 100_000),
        ("9007199254740993us", 9_007_199_254_740_993),  # more than a float can tell apart
    ],
)
def test_durations_are_read(text: str, micros: int) -> None:
    assert parse_duration(text) == micros


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1e3s", "1 month", "1s1s", "1S", "٣s", "999999w" * 2]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 10s"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9223372036854775808us", "1" + "0" * 400 + "s"])
def test_a_duration_too_long_for_an_int64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="at most"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(90 * SECOND, "90s"), (HOUR, "1h"), (DAY, "1d"), (14 * DAY, "2w"), (1, "1us"), (0, "0s")],
)
def test_a_duration_is_written_in_the_largest_unit_that_is_exact(micros: int, text: str) -> None:
    assert format_duration(micros) == text


@pytest.mark.parametrize("text", ["1970-01-01T00:00:10Z", "2025-12-31T23:59:59Z"])
def test_a_clock_that_is_absurd_is_refused_with_what_it_shows(text: str) -> None:
    with pytest.raises(Invalid, match=f"clock: it shows {text}"):
        check_clock(from_rfc3339(text))


def test_a_clock_after_2100_is_refused_and_a_sane_one_is_not() -> None:
    with pytest.raises(Invalid, match="2100-01-01"):
        check_clock(from_rfc3339("2100-01-01T00:00:00Z"))
    check_clock(NOON)
