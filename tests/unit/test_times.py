from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.vocabulary.errors import Invalid
from lakebed.vocabulary.time_parsing import (
    EVENT_TIMES,
    SENT_TIMES,
    UNITS,
    YEARS,
    Bounds,
    Implausible,
    Unit,
    deletable,
    from_epochs,
    from_rfc3339,
    parse_time,
)
from lakebed.vocabulary.times import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    check_clock,
    format_duration,
    from_datetime,
    parse_duration,
    to_datetime,
    to_rfc3339,
)

NOON = 1_769_860_800 * SECOND  # 2026-01-31T12:00:00Z, by `date -u -d @1769860800`
instants = st.integers(YEARS.first, YEARS.last)


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
        ("2026-01-31T12:00:00.123456789Z", NOON + 123_457),  # as the number of seconds is
        ("2026-01-31T11:59:59.9999999Z", NOON),
        ("2026-01-31T11:59:59.99999949999Z", NOON - 1),
        ("2026-01-31T12:00:00.1234564999999999999Z", NOON + 123_456),
        ("2026-01-31T11:59:60Z", NOON - 1),  # a leap second: the end of its minute
        ("2026-01-31T13:59:60.5+02:00", NOON - 1),
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
        "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:00." + "1" * 31 + "Z",
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
    found = parse_time(seconds, EVENT_TIMES)
    assert abs(found - seconds * SECOND) <= 0.5 + abs(seconds) * SECOND * 2e-16


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (1_769_860_800, NOON),
        (1_769_860_800.25, NOON + 250_000),
        ("1769860800", NOON),
        ("1769860800.25", NOON + 250_000),
        ("1.7698608e9", NOON),
        ("-1", -SECOND),
        ("1.5e-3", 1500),
        (0, 0),
    ],
)
def test_a_time_is_epoch_seconds_or_rfc_3339(value: object, micros: int) -> None:
    assert parse_time(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        None, True, [], b"1", "", "nan", "inf", "1_000", "١٢", "0x10", " 1", "9" * 5000,
        float("nan"), float("inf"), 9e30, -9e30, 10**400, datetime(2026, 1, 31),
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"time"):
        parse_time(value)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00Z",
        "20260131T120000Z",  # ISO 8601, basic
        "20260131T1200Z",
        "2026-01-31T12:00:00,000Z",
        "2026-01-31T13:00:00+0100",
        "2026-01-31T13:00:00+01",
        "2026-01-31 13:00:00 +0100",
        "2026-01-31 12:00:00 UTC",
        "2026-01-31T12:00:00GMT",
    ],
)
def test_what_devices_write_is_read(text: str) -> None:
    assert parse_time(text) == NOON


# (text without a zone, zone, the instant in UTC)
LOCAL = [
    ("2026-01-31T13:00:00", "Europe/Berlin", "2026-01-31T12:00:00Z"),
    ("2026-07-31 14:00:00.25", "Europe/Berlin", "2026-07-31T12:00:00.25Z"),
    ("20260131T173000", "Asia/Kolkata", "2026-01-31T12:00:00Z"),
    ("2026-01-31T12:00:00", "UTC", "2026-01-31T12:00:00Z"),
    ("2026-10-25T02:30:00", "Europe/Berlin", "2026-10-25T00:30:00Z"),  # twice: the first
    ("2026-03-29T02:30:00", "Europe/Berlin", "2026-03-29T01:30:00Z"),  # never: as if not skipped
]


@pytest.mark.parametrize(("text", "zone", "meant"), LOCAL)
def test_a_time_without_a_zone_is_of_the_zone_that_is_said(
    text: str, zone: str, meant: str
) -> None:
    assert parse_time(text, EVENT_TIMES._replace(zone=zone)) == from_rfc3339(meant)


# (number, what it counts)
COUNTED = [
    (1_769_860_800, "s"),
    (1_769_860_800_000, "ms"),
    (1_769_860_800_000_000, "us"),
    (1_769_860_800_000_000_000, "ns"),
]


@pytest.mark.parametrize(("number", "unit"), COUNTED)
@pytest.mark.parametrize("form", [int, float, str])
@pytest.mark.parametrize("bounds", [YEARS, SENT_TIMES, EVENT_TIMES])
def test_what_a_number_counts_is_told_by_its_size_or_said(
    number: int, unit: Unit, form: type, bounds: Bounds
) -> None:
    assert parse_time(form(number), bounds) == NOON
    assert parse_time(form(number), bounds._replace(unit=unit)) == NOON


@pytest.mark.parametrize(
    ("number", "unit", "micros"),
    [
        (99_999_999_999, "s", 99_999_999_999 * SECOND),
        (100_000_000_000, "ms", 100_000_000 * SECOND),
        (-1_769_860_800_000, "ms", -NOON),
        (1_769_860_800_000.25, "ms", NOON + 250),
        ("1769860800000.25", "ms", NOON + 250),
        ("1769860799.9999999", "s", NOON),  # one instant, however it is written
        (1_769_860_800_000_000_499, "ns", NOON),
        (1_769_860_800_000_000_500, "ns", NOON + 1),
        ("1769860800123456789", "ns", NOON + 123_457),
    ],
)
def test_units_meet_where_nobody_means_the_smaller(number: object, unit: Unit, micros: int) -> None:
    assert parse_time(number, EVENT_TIMES) == micros
    assert parse_time(number, EVENT_TIMES._replace(unit=unit)) == micros


@pytest.mark.parametrize("value", [4_102_444_800, -1, "2100-01-01T00:00:00Z", 9e29, "1e999999999"])
def test_a_sender_cannot_say_a_time_at_which_no_event_lies(value: object) -> None:
    with pytest.raises(Implausible, match="is not a time of the years 1970 to 2099"):
        parse_time(value, SENT_TIMES)


# (given, what the refusal says); what was given is always part of it
MEANT = [
    # counted in another unit than seconds
    (1_790_000_000_000, "looks like milliseconds: give a time such as"),
    ("1790000000000", "looks like milliseconds: give a time such as"),
    (1_790_000_000_000.5, "looks like milliseconds"),
    ("1.79e12", "looks like milliseconds"),
    (946_684_800_000, "looks like milliseconds"),  # 2000-01-01
    (4_102_444_799_999, "looks like milliseconds"),  # the end of 2099
    (1_790_000_000_000_000, "looks like microseconds"),
    (1_790_000_000_000_000_000, "looks like nanoseconds"),
    ("1790000000000000000", "looks like nanoseconds"),
    # no unit makes sense of it
    (253_402_300_800, "is not a time of the years 1 to 9999"),
    (-62_135_596_801, "is not a time of the years 1 to 9999"),
    (5e14, "is not a time of the years 1 to 9999"),
    (-1_790_000_000_000, "is not a time of the years 1 to 9999"),
    ("9" * 30, "is not a time of the years 1 to 9999"),
    (10**400, "is not a time of the years 1 to 9999"),
    # a day, written without its dashes, would be one in 1970
    (20260921, "looks like a day: write 2026-09-21T00:00:00Z"),
    ("20260921", "looks like a day: write 2026-09-21T00:00:00Z"),
]
SECONDS = YEARS._replace(unit="s")


@pytest.mark.parametrize(("value", "says"), MEANT)
def test_a_time_that_cannot_be_meant_is_refused_with_what_it_looks_like(
    value: object, says: str
) -> None:
    with pytest.raises(Implausible) as refused:
        parse_time(value, SECONDS)
    assert says in str(refused.value)
    assert str(value)[:20] in str(refused.value)
    assert len(str(refused.value)) < 250


def test_the_time_that_was_probably_meant_is_named() -> None:
    with pytest.raises(Implausible, match="such as 2026-09-21T14:13:20Z"):
        parse_time("1790000000000", SECONDS)
    with pytest.raises(Implausible, match=r"such as 2026-09-21T14:13:20\.250Z"):
        parse_time("1790000000250", SECONDS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-09-21", "write 2026-09-21T00:00:00Z"),
        ("2026-09-21T12:00:00", "write 2026-09-21T12:00:00Z"),
        ("2026-09-21 12:00:00.5", "write 2026-09-21 12:00:00.5Z"),
    ],
)
def test_what_lacks_its_end_is_refused_with_the_whole(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_time(text)


@pytest.mark.parametrize("value", [20260921, 19691231, 20260931, 1_000_000, 4_102_444_800])
def test_what_a_message_says_is_taken_as_it_stands(value: int) -> None:
    # policies look at it beside the receive time, and count what is absurd
    assert parse_time(value, EVENT_TIMES) == value * SECOND


@pytest.mark.parametrize("value", [19691231, 20260931, 21000101, 202609210])
def test_a_number_that_is_no_day_counts_seconds(value: int) -> None:
    assert parse_time(value) == value * SECOND


# (given at noon, whether a deletion takes it); limits.future is a day
DELETABLE = [
    ("1970-01-01T00:00:00Z", True),
    (0, True),
    (NOON // SECOND, True),
    ("2026-02-01T12:00:00Z", True),  # events of the next day may be there
    ("2026-02-01T12:00:00.000001Z", False),
    ("9999-12-31T23:59:59Z", False),
    ("1969-12-31T23:59:59.999999Z", False),
    (-1, False),
    (2 * NOON // SECOND, False),
    (NOON // 1000, False),
    (NOON, False),
    (20260131, False),
]


@pytest.mark.parametrize(("value", "taken"), DELETABLE)
def test_a_deletion_takes_only_times_at_which_something_can_have_happened(
    value: object, taken: bool
) -> None:
    bounds: Bounds = deletable(NOON, DAY)
    if taken:
        assert bounds.first <= parse_time(value, bounds) <= bounds.last
    else:
        with pytest.raises(Implausible):
            parse_time(value, bounds)


def test_a_refused_deletion_says_what_is_allowed_and_why() -> None:
    with pytest.raises(Implausible, match="1970-01-01T00:00:00Z to 2026-02-01T12:00:00Z"):
        parse_time("2027-01-01T00:00:00Z", deletable(NOON, DAY))
    with pytest.raises(Implausible, match="leave it out"):
        parse_time("2027-01-01T00:00:00Z", deletable(NOON, DAY))


# what numbers a column of seconds may hold, and what becomes of them
COLUMNS = [
    ([1_769_860_800, 0, -1], [NOON, 0, -SECOND]),
    ([1_769_860_800.25, -0.5], [NOON + 250_000, -500_000]),
    ([0.0000005, 0.0000015], [0, 2]),  # half to even, as one by one
    ([1_769_860_800_000, 1_769_860_800_250], [NOON, NOON + 250_000]),
    ([1_769_860_800_000.5, -1_769_860_800_000.5], [NOON + 500, -NOON - 500]),
    ([1_769_860_800_000_001], [NOON + 1]),
    ([1_769_860_800_000_000_499, 1_769_860_800_000_000_500], [NOON, NOON + 1]),
    ([8_999_999_999_999_999_999], [9 * 10**15]),
]


@pytest.mark.parametrize(("seconds", "micros"), COLUMNS)
def test_a_column_of_seconds_is_read_as_each_of_them_is(
    seconds: list[float], micros: list[int]
) -> None:
    found = from_epochs(seconds)
    assert found is not None
    assert found.tolist() == micros == [parse_time(one, EVENT_TIMES) for one in seconds]


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)
    | st.lists(st.floats(), min_size=1, max_size=4),
    st.sampled_from(UNITS),
)
def test_a_column_is_left_to_the_slow_way_or_read_alike(numbers: list[float], unit: Unit) -> None:
    found = from_epochs(numbers, unit)
    bounds = EVENT_TIMES._replace(unit=unit)
    assert found is None or found.tolist() == [parse_time(one, bounds) for one in numbers]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 10**400, 2**63, -(2**63), 9e18])
def test_a_column_with_a_number_that_is_no_time_is_left_to_the_slow_way(wrong: float) -> None:
    assert from_epochs([wrong]) is None
    assert from_epochs([type(wrong)(1), wrong]) is None


def test_a_column_that_counts_in_several_units_is_left_to_the_slow_way() -> None:
    assert from_epochs([1_769_860_800, 1_769_860_800_000]) is None


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
    "text", ["", "s", "-1s", "1e3s", "1 month", "1s1s", "1S", "٣s", "999999w" * 2]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration such as 10s"):
        parse_duration(text)


@pytest.mark.parametrize("value", [15, 1.5, "15"])
def test_a_duration_needs_its_unit(value: object) -> None:
    with pytest.raises(ValueError, match="has no unit: write a duration such as 10s"):
        parse_duration(value)


@pytest.mark.parametrize(("value", "micros"), [(0, 0), (90, 90 * SECOND), (1.5, 1_500_000)])
def test_where_a_number_is_allowed_it_counts_seconds(value: object, micros: int) -> None:
    assert parse_duration(value, bare=SECOND) == micros


@pytest.mark.parametrize("value", [None, True, -1, float("nan"), float("inf"), 10**400, [], b"1s"])
def test_what_is_no_duration_is_no_number_of_seconds_either(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value, bare=SECOND)


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
