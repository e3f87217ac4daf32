"""Functions that depend on the order of values: one answer, however the values came.

The kind's state, without a store, against a computation over all values in order.
"""

import random
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lakebed.kinds import KINDS
from lakebed.kinds.aggregate import sequence
from lakebed.kinds.aggregate.pieces import Piece, Span, counters, durations, time_weighted_avg
from lakebed.kinds.kind import ErasedRange, Site, State, Values
from lakebed.policies.document import parse
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import HOUR, SECOND
from tests.nightly import often

START = 1_790_000_000 * SECOND // HOUR * HOUR
WINDOWS = 3
NUMBER = ["increase", "rate", "delta", "time_weighted_avg"]
Point = tuple[int, Any]  # a second, and a value


def policy(**more: Any) -> Policy:
    document = {"name": "p", "topics": ["#"], "keep": "aggregate", "every": "1h", **more}
    return parse(document, "ann", 1)


NUMBERS = policy(type="number", functions=NUMBER)
TEXTS = policy(type="text", functions=["durations", "mode"])
STATES = ["on", "off", "fault", "é"]
SEEDS = often(25, 2_000)
cases = pytest.mark.parametrize(
    ("kept", "seed"),
    [(kept, seed) for kept in (NUMBERS, TEXTS) for seed in range(SEEDS)],
    ids=lambda value: value.type if isinstance(value, Policy) else str(value),
)


def values_of(kept: Policy, chance: random.Random, most: int) -> list[Point]:
    """Values at different times of some windows, in order; counters fall often."""
    seconds = sorted(chance.sample(range(WINDOWS * 3600), chance.randint(1, most)))
    if kept.type == "text":
        return [(second, chance.choice(STATES)) for second in seconds]
    return [(second, float(chance.randrange(60))) for second in seconds]


def opened(kept: Policy, state: bytes | None = None) -> State:
    made = KINDS["aggregate"].open(Site(kept, 0, ["t"]))
    if state is not None:
        made.restore(state)
    return made


def absorb(state: State, kept: Policy, points: list[Point], offset: int) -> None:
    if not points:
        return
    n = len(points)
    moments = START + np.array([second for second, _ in points], np.int64) * SECOND
    found = [value for _, value in points]
    received = np.full(n, START + WINDOWS * HOUR, np.int64)
    text = kept.type == "text"
    state.absorb(
        Values(
            np.zeros(n, np.int32), moments, np.arange(offset, offset + n), received,
            np.zeros(n, np.int64), None if text else np.array(found), found if text else None, None,
        )
    )  # fmt: skip


def rows_of(state: State) -> dict[int, dict[str, Any]]:
    """The newest row of each window, by its begin in seconds."""
    (effect,) = state.drain(START + (WINDOWS + 1) * HOUR, 10**6, final=True)
    return {row["start"]: row for row in effect.rows.to_pylist()}  # type: ignore[union-attr]


def answers(kept: Policy, rows: dict[int, dict[str, Any]]) -> dict[int, Any]:
    found = {}
    for start, row in sorted(rows.items()):
        names = [name for name in ("grown", "area", "states", "spans") if name in row]
        piece = Piece(
            row["moments"], row["levels"], row["fragment"], row["count"],
            **{name: row[name] for name in names},
        )  # fmt: skip
        span = Span(start * SECOND, row["end"] * SECOND)
        if kept.type == "text":
            found[start] = {one["value"]: one["seconds"] for one in durations(span, [piece])}
        else:
            bits = kept.options["counter_bits"]
            found[start] = (*counters(span, [piece], bits), time_weighted_avg(span, [piece]))
    return found


def expected(kept: Policy, points: list[Point]) -> dict[int, Any]:
    """All windows, out of all values in order, in exact fractions."""
    found: dict[int, Any] = {}
    for number in range(WINDOWS):
        begin, end = number * 3600, (number + 1) * 3600
        inside = [point for point in points if begin <= point[0] < end]
        before = [point for point in points if point[0] < begin][-1:]
        if not inside:
            continue
        chain = before + inside
        held = [(begin, before[0][1])] if before else []
        held += inside
        lengths = [
            (value, later - second)
            for (second, value), (later, _) in pairwise([*held, (end, None)])
        ]
        start = START // SECOND + begin
        if kept.type == "text":
            spans: dict[str, float] = {}
            for value, length in lengths:
                spans[value] = spans.get(value, 0) + length
            found[start] = spans
            continue
        rises = sum(
            Fraction(b) - Fraction(a) if b >= a else Fraction(b)
            for (_, a), (_, b) in pairwise(chain)
        )
        seconds = chain[-1][0] - chain[0][0]
        several = len(chain) > 1
        found[start] = (
            float(rises) if several else None,
            float(rises / seconds) if several else None,
            chain[-1][1] - chain[0][1] if several else None,
            float(sum(Fraction(v) * n for v, n in lengths) / sum(n for _, n in lengths)),
        )
    return found


def same(found: dict[int, Any], wanted: dict[int, Any]) -> None:
    assert found.keys() == wanted.keys()
    for start, answer in wanted.items():
        if isinstance(answer, dict):
            assert found[start] == answer
            continue
        for got, value in zip(found[start], answer, strict=True):
            assert got == (value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9))


@cases
def test_any_order_of_arrival_gives_the_answer_of_the_right_one(kept: Policy, seed: int) -> None:
    chance = random.Random(seed)
    points = values_of(kept, chance, 60)
    arrival = points[:]
    chance.shuffle(arrival)
    state, offset = opened(kept), 0
    while arrival:
        n = chance.randint(1, len(arrival))
        absorb(state, kept, arrival[:n], offset)
        arrival, offset = arrival[n:], offset + n
        if chance.random() < 0.3:
            state = opened(kept, state.snapshot())
        if chance.random() < 0.3:
            state.drain(START + WINDOWS * HOUR, offset, final=True)
    state.rewrite()
    same(answers(kept, rows_of(state)), expected(kept, points))


def nearly_sorted(points: list[Point], chance: random.Random, most: int) -> list[Point]:
    """An order in which every value comes before `most` newer ones have."""
    waiting, arrival = points[:], []
    while waiting:
        place = 0 if len(arrival) % most == 0 else chance.randrange(min(most, len(waiting)))
        arrival.append(waiting.pop(place))
    return arrival


@cases
def test_long_windows_take_values_that_come_a_little_late(kept: Policy, seed: int) -> None:
    chance = random.Random(seed)
    points = values_of(kept, chance, 200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "CAPACITY", 16)
        patch.setattr(sequence, "ALL", 4)
        patch.setattr(sequence, "MOST_TURNS", 8)
        arrival = nearly_sorted(points, chance, 4)
        state = opened(kept)
        absorb(state, kept, arrival, 0)
        state.rewrite()
        same(answers(kept, rows_of(state)), expected(kept, points))


@cases
def test_calls_and_restarts_change_nothing_whatever_comes_late(kept: Policy, seed: int) -> None:
    chance = random.Random(seed)
    arrival = values_of(kept, chance, 200)
    chance.shuffle(arrival)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "CAPACITY", 8)
        patch.setattr(sequence, "ALL", 4)
        patch.setattr(sequence, "MOST_TURNS", 8)
        at_once, divided, offset = opened(kept), opened(kept), 0
        absorb(at_once, kept, arrival, 0)
        while offset < len(arrival):
            n = chance.randint(1, 20)
            absorb(divided, kept, arrival[offset : offset + n], offset)
            offset += n
            if chance.random() < 0.5:
                divided = opened(kept, divided.snapshot())
        for state in (at_once, divided):
            state.rewrite()
        found, wanted = rows_of(divided), rows_of(at_once)
        names = ("moments", "levels", "grown", "area", "states", "spans", "count", "size")
        for rows in (found, wanted):
            for start, row in rows.items():
                rows[start] = {name: row[name] for name in names if name in row}
        assert found == wanted


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_increases_of_all_windows_add_up(seed: int) -> None:
    points = values_of(NUMBERS, random.Random(seed), 60)
    state = opened(NUMBERS)
    absorb(state, NUMBERS, points, 0)
    found = answers(NUMBERS, rows_of(state))
    whole = sum(b - a if b >= a else b for (_, a), (_, b) in pairwise(points))
    assert sum(answer[0] or 0 for answer in found.values()) == pytest.approx(whole)


def test_a_counter_of_16_bits_goes_on_at_zero() -> None:
    kept = policy(type="number", functions=NUMBER, counter_bits=16)
    state = opened(kept)
    absorb(state, kept, [(0, 65_000.0), (1, 65_535.0), (2, 4.0), (3, 30_000.0), (4, 7.0)], 0)
    ((increase, rate, delta, _),) = answers(kept, rows_of(state)).values()
    assert increase == 535 + 5 + 29_996 + 7  # the last fall is nearer to a restart
    assert rate == increase / 4
    assert delta == 7 - 65_000


def test_a_state_of_a_version_without_these_functions_is_read() -> None:
    old = policy(type="number", functions=["avg"])
    former = opened(old)
    absorb(former, old, [(0, 1.0), (1, 2.0)], 0)
    state = opened(NUMBERS, former.snapshot())
    absorb(state, NUMBERS, [(2, 5.0), (3, 9.0)], 2)
    ((row,),) = [rows_of(state).values()]
    assert row["count"] == 4
    # what came before the policy asked for them is not in them
    assert row["levels"] == [5.0, 9.0]
    again = opened(old, state.snapshot())
    absorb(again, old, [(4, 3.0)], 4)
    ((row,),) = [rows_of(again).values()]
    assert (row["count"], row["sum"]) == (5, 20.0)


def test_more_states_than_are_told_apart_are_summed_up() -> None:
    state = opened(TEXTS)
    absorb(state, TEXTS, [(second, f"state {second:03}") for second in range(150)], 0)
    ((row,),) = [rows_of(state).values()]
    assert len(row["states"]) == sequence.MOST_STATES
    assert row["spans"] == [SECOND] * 100 + [49 * SECOND]  # the last one holds
    assert len(state.snapshot()) < 20_000


def test_a_late_value_after_a_restart_is_known_to_the_window_behind() -> None:
    state = opened(NUMBERS)
    absorb(state, NUMBERS, [(10, 1.0), (3700, 9.0)], 0)
    state.drain(START + WINDOWS * HOUR, 2, final=True)
    state = opened(NUMBERS, state.snapshot())
    absorb(state, NUMBERS, [(20, 4.0)], 2)
    found = answers(NUMBERS, rows_of(state))
    # both windows are written again, also the one that nothing came for
    assert [answer[0] for answer in found.values()] == [3.0, 5.0]


def test_what_is_deleted_is_not_what_a_window_is_begun_with() -> None:
    state = opened(NUMBERS)
    absorb(state, NUMBERS, [(10, 1.0), (3700, 5.0), (7300, 9.0)], 0)
    state.drain(START + WINDOWS * HOUR, 3, final=True)
    state.erase(ErasedRange(frozenset({0}), START + HOUR, START + 2 * HOUR))
    state.rewrite()
    found = answers(NUMBERS, rows_of(state))
    assert [answer[0] for answer in found.values()] == [None, 8.0]


def test_windows_that_left_memory_are_what_later_ones_are_begun_with() -> None:
    state = opened(NUMBERS)
    absorb(state, NUMBERS, [(10, 1.0), (20, 4.0)], 0)
    state.drain(START + WINDOWS * HOUR, 2, final=True)
    assert state.release(START + 20 * HOUR)
    state = opened(NUMBERS, state.snapshot())
    absorb(state, NUMBERS, [(7300, 9.0)], 2)
    assert [answer[0] for answer in answers(NUMBERS, rows_of(state)).values()] == [5.0]
    state.renumber(np.array([-1], np.int32))
    absorb(state, NUMBERS, [(7300, 9.0)], 3)
    assert [answer[0] for answer in answers(NUMBERS, rows_of(state)).values()] == [None]
