"""Aggregates put together from parts: whatever the parts, and in whatever order they are written.

The kinds make the rows, the real engine merges them in the query that users' questions become.
"""

import random
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakebed.api.formats import rows as shown
from lakebed.kinds import KINDS
from lakebed.kinds.aggregate import sketch
from lakebed.kinds.kind import Site, Values
from lakebed.policies.document import parse
from lakebed.ports.question import Question
from lakebed.ports.series import Series
from lakebed.stores.series.clickhouse.reading import windows as aggregates
from lakebed.stores.series.opening import open_series
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import HOUR, SECOND
from tests.nightly import often

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if often(0, 1) else 600)]
OFTEN = settings(
    max_examples=often(40, 10_000), deadline=None, suppress_health_check=list(HealthCheck)
)
START = 1_790_000_000 * SECOND // HOUR * HOUR
MOMENTS = st.integers(0, HOUR // SECOND - 1)
NUMBERS = st.integers(-4000, 4000).map(lambda i: i / 16)  # whose sums are exact in any order
WORDS = st.text(st.sampled_from("abжé"), max_size=2)
EXACT = ["count", "sum", "avg", "min", "max", "first", "last", "stddev"]
NUMBER = {"type": "number", "functions": [*EXACT, "p50", "p95", "p99"]}
TEXT = {"type": "text", "functions": ["count", "unique", "top", "first", "last", "min", "max"]}
IN_ORDER = {"type": "number", "functions": ["increase", "rate", "delta", "time_weighted_avg"]}
STATES = {"type": "text", "functions": ["durations", "mode"]}
number = count()  # of the question: each has a topic of its own


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    opened = open_series("chdb:series", tmp_path_factory.mktemp("series"))
    yield opened
    opened.close()


def policy(more: dict[str, Any]) -> Policy:
    document = {"name": "p", "topics": ["#"], "keep": "aggregate", "every": "1h", **more}
    return parse(document, "ann", 1)


def values(rows: list[tuple[int, int, Any]], text: bool) -> Values:
    """Values of (offset, second, value)."""
    offsets, seconds, found = zip(*rows, strict=True)
    times = START + np.array(seconds, np.int64) * SECOND
    zeros = np.zeros(len(rows), np.int64)
    return Values(
        zeros.astype(np.int32), times, np.array(offsets, np.int64), times, zeros,
        None if text else np.array(found, np.float64), list(found) if text else None, None,
    )  # fmt: skip


def fragment(kept: Policy, topic: str, rows: list[tuple[int, int, Any]], name: int) -> pa.Table:
    """The row of one window that holds these values."""
    kind = KINDS["aggregate"].open(Site(kept, 0, [topic]))
    kind.absorb(values(rows, kept.type == "text"))
    (effect,) = kind.drain(START + 2 * HOUR, 10**6, final=True)
    table = effect.rows
    place = table.column_names.index("fragment")
    return table.set_column(place, "fragment", pa.array([name], pa.int64()))


def answer(series: Series, kept: Policy, parts: list[list[tuple[int, int, Any]]]) -> dict[str, Any]:
    topic = f"t{next(number)}"
    table = "aggregate_text" if kept.type == "text" else "aggregate"
    for name, rows in enumerate(parts):
        if rows:
            series.write(table, fragment(kept, topic, rows, name))
    (found,) = shown(aggregates.read(series, Question(kept, topic)))
    row: dict[str, Any] = msgspec.to_builtins(found)
    del row["topic"]
    return row


def dealt(rows: list[tuple[int, Any]], parts: int, chance: random.Random) -> list[list[Any]]:
    hands: list[list[Any]] = [[] for _ in range(parts)]
    for offset, (second, value) in enumerate(rows):
        hands[chance.randrange(parts)].append((offset, second, value))
    chance.shuffle(hands)
    return hands


def check(
    series: Series, kept: Policy, rows: list[tuple[int, Any]], parts: int, chance: random.Random
) -> None:
    (whole,) = dealt(rows, 1, chance)
    expected = answer(series, kept, [whole])
    found = answer(series, kept, dealt(rows, parts, chance))
    for name, value in expected.items():
        exact = not isinstance(value, float) or name not in ("avg", "stddev")
        assert found[name] == (value if exact else pytest.approx(value, rel=1e-9, abs=1e-9)), name
    assert found["count"] == len(rows)


@OFTEN
@given(
    st.lists(st.tuples(MOMENTS, NUMBERS), min_size=1, max_size=60), st.integers(2, 6), st.randoms()
)
def test_numbers_in_any_parts_in_any_order_give_one_answer(
    series: Series, rows: list[tuple[int, float]], parts: int, chance: random.Random
) -> None:
    check(series, policy(NUMBER), rows, parts, chance)


@OFTEN
@given(
    st.lists(st.tuples(MOMENTS, WORDS), min_size=1, max_size=60), st.integers(2, 6), st.randoms()
)
def test_texts_in_any_parts_in_any_order_give_one_answer(
    series: Series, rows: list[tuple[int, str]], parts: int, chance: random.Random
) -> None:
    check(series, policy(TEXT), rows, parts, chance)


@OFTEN
@given(
    st.dictionaries(MOMENTS, st.tuples(NUMBERS, WORDS), min_size=1, max_size=60),
    st.integers(2, 6),
    st.randoms(),
)
def test_values_in_any_parts_are_put_in_order(
    series: Series, rows: dict[int, tuple[float, str]], parts: int, chance: random.Random
) -> None:
    for kept, which in ((policy(IN_ORDER), 0), (policy(STATES), 1)):
        values = [(second, both[which]) for second, both in rows.items()]
        (whole,) = dealt(values, 1, chance)
        expected = answer(series, kept, [whole])
        found = answer(series, kept, dealt(values, parts, chance))
        for name, value in expected.items():
            close = pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value
            assert found[name] == close, name


HISTOGRAM = st.lists(NUMBERS, max_size=30).map(
    lambda found: tuple(
        column.tolist()
        for column in np.unique(sketch.bins_of(np.array(found, np.float64)), return_counts=True)
    )
)


@settings(OFTEN, max_examples=often(200, 20_000))
@given(HISTOGRAM, HISTOGRAM, HISTOGRAM)
def test_sketches_of_numbers_merge_in_any_order(one: Any, two: Any, three: Any) -> None:
    merge: Callable[..., Any] = lambda *parts: tuple(sketch.merge(parts))  # noqa: E731
    assert merge(one, two) == merge(two, one)
    assert merge(merge(one, two), three) == merge(one, merge(two, three)) == merge(one, two, three)


HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=40)


@settings(OFTEN, max_examples=often(200, 20_000))
@given(HASHES, HASHES, HASHES)
def test_sketches_of_texts_merge_in_any_order_also_when_they_are_full(
    one: list[int], two: list[int], three: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketch, "K", 16)
        full = sketch.smallest
        expected = full([*one, *two, *three])
        assert full([*full([*full(one), *full(two)]), *full(three)]) == expected
        assert full([*full(three), *full([*full(two), *full(one)])]) == expected
        assert sketch.distinct([*full(two), *full(one), *full(three)]) == sketch.distinct(expected)
