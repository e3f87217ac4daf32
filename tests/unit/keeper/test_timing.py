"""The lag of each message is counted, for whole chunks at a time."""

import numpy as np

from lakebed.keeper.timing import ABSORB_LAG, KeeperTiming
from lakebed.ports.metrics import Buckets
from lakebed.vocabulary.times import SECOND

NOW = 1_800_000_000 * SECOND


def test_messages_are_counted_by_how_long_they_waited() -> None:
    timing = KeeperTiming(clock=lambda: NOW)
    waited = np.array([0.0, 0.01, 0.02, 3.0, 86_400.0])
    timing.absorbed((NOW - waited * SECOND).astype(np.int64))
    (lag, *_) = timing.metrics()
    assert isinstance(lag.value, Buckets)
    found = dict(zip([*ABSORB_LAG.bounds, "more"], lag.value.counts, strict=True))
    assert {bound: count for bound, count in found.items() if count} == {
        0.01: 2,
        0.025: 1,
        5.0: 1,
        "more": 1,
    }
    assert round(lag.value.total, 2) == 86_403.03


def test_a_clock_that_went_back_makes_no_lag() -> None:
    timing = KeeperTiming(clock=lambda: NOW)
    timing.absorbed(np.array([NOW + 5 * SECOND], np.int64))
    (lag, *_) = timing.metrics()
    assert isinstance(lag.value, Buckets)
    assert (lag.value.counts[0], lag.value.total) == (1, 0.0)
