"""Load over time, on a clock that the test moves."""

import numpy as np
import pytest

from lakebed.limits.load import LoadMeter, LoadTable, span_of
from lakebed.vocabulary.messages import Batch, Channel


def test_now_mean_and_peak_of_a_steady_sender() -> None:
    table: LoadTable[str] = LoadTable(10, 0.0)
    for second in range(120):
        table.add(["a"], [20], [2000], second + 0.5)
    table.add(["a"], [500], [500], 120.1)
    load = table.loads(121.0, "1m")["a"]
    assert load.messages_peak == 500
    assert load.messages_now == pytest.approx((500 + 4 * 20) / 5)
    assert load.messages_mean == pytest.approx((500 + 58 * 20) / 59)
    hour = table.loads(121.0, "1h")["a"]
    assert hour.messages_mean == pytest.approx((120 * 20 + 500) / 121)
    assert hour.messages_peak == 500
    assert table.loads(121.0, "1d")["a"].bytes_mean == pytest.approx(240_500 / 121)


def test_the_sums_of_an_interval_are_those_of_its_span() -> None:
    table: LoadTable[str] = LoadTable(1, 0.0)
    day, at = 86_400, 2 * 86_400
    for second in (*range(0, at, 601), *range(at - 130, at)):
        table.add(["a"], [1 + second % 13], [second % 17], float(second))
    for seconds in (0.01, 1, 1.5, 58.9, 59, 60, 60.5, 61, 119.9, 120, 3599, 3600, 3600.5, 7200,
                    day, 31 * day):  # fmt: skip
        assert table.sent_in("a", span_of(seconds), at) == table.sent_in("a", seconds, at), seconds


def test_intervals_have_few_spans() -> None:
    assert len({span_of(seconds / 2) for seconds in range(1, 200_000)}) == 59 + 60 + 24


def test_what_is_older_than_the_span_does_not_count() -> None:
    table: LoadTable[str] = LoadTable(10, 0.0)
    table.add(["a"], [7], [70], 10.0)
    assert "a" in table.loads(69.0, "1m")
    assert "a" not in table.loads(71.0, "1m")
    assert table.loads(71.0, "1h")["a"].messages_peak == 7
    assert "a" not in table.loads(3700.0, "1h")
    assert table.loads(3700.0, "1d")["a"].messages_peak == 7
    assert table.loads(90_000.0, "1d") == {}


def test_the_heaviest_keys_stay_in_a_flood_of_others() -> None:
    table: LoadTable[str] = LoadTable(64, 0.0)
    for second in range(50):
        table.add(["heavy", "heavier"], [100, 300], [1, 1], float(second))
        table.add([f"{second}-{n}" for n in range(40)], [1] * 40, [1] * 40, float(second))
    loads = table.loads(50.0, "1m")
    assert loads["heavier"].messages_mean == pytest.approx(300)
    assert loads["heavy"].messages_mean == pytest.approx(100)
    assert len(loads) <= 64
    assert table.evicted


def test_more_keys_at_once_than_there_are_rows() -> None:
    table: LoadTable[int] = LoadTable(16, 0.0)
    table.add(range(100), list(range(100)), [0] * 100, 0.0)
    loads = table.loads(0.5, "1m")
    assert 99 in loads
    assert len(loads) <= 16


def test_how_much_came_in_the_interval_of_a_limit() -> None:
    table: LoadTable[str] = LoadTable(4, 0.0)
    for second in range(7200):
        table.add(["a"], [2], [10], float(second))
    assert table.sent_in("a", 1, 7200.0) == (2, 10)
    assert table.sent_in("a", 60, 7200.0) == (118, 590)  # of 59 seconds
    assert table.sent_in("a", 600, 7200.0) == (1080, 5400)  # of nine minutes and this one
    assert table.sent_in("a", 600, 7259.0) == (1080, 5400)
    assert table.sent_in("b", 1, 7200.0) == (0, 0)
    for seconds in (1, 60, 600, 7200):
        assert table.all_sent_in(seconds, 7259.0) == {
            "a": list(table.sent_in("a", seconds, 7259.0))
        }


def test_at_a_high_rate_some_batches_stand_for_others_and_totals_stay_right() -> None:
    at = [0.0]
    meter = LoadMeter(lambda: at[0])
    codes = np.zeros(500, np.int32)
    batch = Batch((Channel("a", "x"),), codes, [b"1"] * 500, np.zeros(500, np.int64))
    counted: list[float] = []
    add = meter.topics.add
    meter.topics.add = lambda *given: (counted.append(given[3]), add(*given))[1]  # type: ignore[assignment, misc, func-returns-value]
    for _ in range(1000):  # 50,000 a second
        at[0] += 0.01
        meter.count(batch)
    assert len(counted) < 120
    load = meter.topics.loads(at[0], "1m")[Channel("a", "x")]
    assert load.messages_mean == pytest.approx(50_000, rel=0.02)
    assert meter.owners.loads(at[0], "1m")["a"].bytes_mean == pytest.approx(50_000, rel=0.02)


def test_a_batch_counts_by_topic_and_owner() -> None:
    at = 0.0
    meter = LoadMeter(lambda: at)
    channels = (Channel("a", "x"), Channel("a", "y"), Channel("b", "x"))
    codes = np.array([0, 1, 1, 2, 0], np.int32)
    meter.count(Batch(channels, codes, [b"1", b"22", b"333", b"4", b"5"], np.zeros(5, np.int64)))
    meter.count_units([("a", "u"), ("a", "v"), ("a", "u")], [2, 9, 1], [4, 9, 2])
    assert meter.topics.loads(1.0, "1m")[Channel("a", "y")].bytes_peak == 5
    owners = meter.owners.loads(1.0, "1m")
    assert (owners["a"].messages_peak, owners["b"].messages_peak) == (4, 1)
    units = meter.units.loads(1.0, "1m")
    assert (units["a", "u"].messages_peak, units["a", "u"].bytes_peak) == (3, 6)
    assert units["a", "v"].messages_peak == 9
