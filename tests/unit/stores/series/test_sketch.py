"""Sketches against numpy and sets, which know the exact answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakebed.kinds.aggregate import sketch

numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)


def summary(values: np.ndarray) -> tuple[list[int], list[int]]:
    bins, counts = np.unique(sketch.bins_of(values), return_counts=True)
    return bins.tolist(), counts.tolist()


@given(st.lists(numbers, min_size=1, max_size=60), st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_every_order_statistic_is_within_alpha(values: list[float], q: float) -> None:
    bins, counts = summary(np.array(values))
    ordered = sorted(values)
    low = ordered[int(np.floor(q * (len(values) - 1)))]
    high = ordered[int(np.ceil(q * (len(values) - 1)))]
    slack = max(abs(low), abs(high)) * sketch.ALPHA * 1.01
    assert low - slack <= sketch.quantile(bins, counts, q) <= high + slack


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_a_quantile_is_interpolated_as_numpy_does(q: float) -> None:
    values = np.random.default_rng(7).normal(21, 3, 60)
    expected = np.quantile(values, q)
    assert sketch.quantile(*summary(values), q) == pytest.approx(expected, rel=1e-3)


@given(st.lists(numbers, min_size=2), st.integers(0))
def test_buckets_are_ordered_as_the_values_are(values: list[float], seed: int) -> None:
    ordered = np.sort(np.array(values))
    assert (np.diff(sketch.bins_of(ordered)) >= 0).all()


@given(st.lists(st.lists(numbers, min_size=1), min_size=1, max_size=5))
def test_merging_parts_gives_the_sketch_of_the_whole(parts: list[list[float]]) -> None:
    whole = np.concatenate([np.array(part) for part in parts])
    assert sketch.merge(summary(np.array(part)) for part in parts) == summary(whole)


def test_distinct_counts_are_exact_up_to_k() -> None:
    hashes = [sketch.hash_text(f"text {i}") for i in range(sketch.K - 1)]
    assert sketch.distinct(hashes + hashes) == sketch.K - 1


def test_distinct_counts_beyond_k_are_close() -> None:
    hashes = [sketch.hash_text(f"text {i}") for i in range(50_000)]
    assert sketch.distinct(sketch.smallest(hashes)) == pytest.approx(50_000, rel=0.1)


def test_a_union_of_summaries_counts_what_is_in_both_once() -> None:
    first = sketch.smallest(sketch.hash_text(f"text {i}") for i in range(1000))
    second = sketch.smallest(sketch.hash_text(f"text {i}") for i in range(500, 1500))
    assert sketch.distinct([*first, *second]) == 1500
