"""Pages that are read in several ranges of time are the pages of the whole."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from lakebed.ports.question import Question
from lakebed.stores.series.clickhouse.reading.time_ranges import Range, gather, reach
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND

NOW = 1_790_000_000 * SECOND
DAY = 86_400 * SECOND
TIMES = st.lists(st.integers(NOW - 400 * DAY, NOW + 2 * DAY) | st.integers(NOW - DAY, NOW))
BOUND = st.none() | st.integers(NOW - 400 * DAY, NOW)


class Store:
    """Rows of one topic, and what was asked of them."""

    def __init__(self, times: list[int], question: Question, key: int | None) -> None:
        self.asked: list[Range] = []
        self._question = question
        low, high = question.start or 0, question.end or 2**62
        if key is not None:
            low, high = (low, min(high, key)) if question.descending else (max(low, key), high)
        self.rows = [t for t in sorted(times, reverse=question.descending) if low <= t < high]

    def ask(self, range_: Range, limit: int) -> pa.Table:
        self.asked.append(range_)
        since, until = range_
        rows = [t for t in self.rows if (since or 0) <= t < (until or 2**62)]
        return pa.table({"time": pa.array(rows[:limit], pa.int64())})


@given(TIMES, BOUND, BOUND, BOUND, BOUND, st.booleans(), st.booleans(), st.integers(1, 50))
def test_the_rows_are_those_of_one_query_over_all(
    times: list[int], start: int | None, end: int | None, key: int | None,
    oldest: int | None, falling: bool, window: bool, wanted: int,
) -> None:  # fmt: skip
    if start is not None and end is not None and start >= end:
        start, end = None, start
    keep, span = ("window", 30 * DAY) if window else ("archive", None)
    policy = Policy("ann", "raw", ("#",), "number", keep, span=span)  # type: ignore[arg-type]
    question = Question(policy, "a", start, end, "desc" if falling else "asc")
    store = Store(times, question, key)
    found = gather(reach(question, key, oldest, NOW), wanted, store.ask)
    assert found["time"].to_pylist() == store.rows[:wanted]
    assert len(store.asked) <= 4


def test_a_dense_topic_is_asked_for_its_newest_time_alone() -> None:
    question = Question(Policy("ann", "raw", ("#",), "number", "archive"), "a", order="desc")
    store = Store(list(range(NOW - 3 * DAY, NOW, 10 * SECOND)), question, None)
    assert len(gather(reach(question, None, None, NOW), 100, store.ask)) == 100
    assert store.asked == [(NOW - 1500 * SECOND, None)]
