"""Decisions about messages, on a clock that the test moves."""

from typing import Any

import pytest

from lakebed.limits.allowance import Allowance, Verdict
from lakebed.limits.buckets import TokenBuckets
from lakebed.limits.subjects import Subject
from lakebed.vocabulary.limits import Over, Rate, merge, parse
from lakebed.vocabulary.times import MINUTE, SECOND


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def allowance(
    clock: Clock, owner: dict[str, Any] | None = None, unit: dict[str, Any] | None = None
) -> Allowance:
    whose = Subject("plant")
    whose.set(merge(parse(owner or {})), clock())
    if unit is None:
        return Allowance(whose, None, clock)
    sender = Subject("plant", "uuid-1", "shed")
    sender.set(merge(parse(unit)), clock())
    return Allowance(whose, sender, clock)


def passed(verdict: Verdict | None, of: int) -> int:
    return of if verdict is None else verdict.passed


def test_without_limits_nothing_is_asked(clock: Clock) -> None:
    assert not allowance(clock).limited
    assert not allowance(clock, {"over": "cut", "units": 3}, {}).limited


def test_a_bucket_lets_through_its_amount_at_once_and_its_rate_in_the_long_run(
    clock: Clock,
) -> None:
    buckets = TokenBuckets([Rate(30, SECOND), Rate(600, MINUTE)], clock())
    sent = 0
    for _ in range(12_000):  # ten minutes, in steps of 50 ms
        clock.at += 0.05
        while buckets.level(clock.at) >= 1:
            buckets.take(1)
            sent += 1
    assert 600 + 6000 - 1 <= sent <= 600 + 6000  # what was there, and ten a second


def test_slow_takes_what_was_read_and_holds_the_sender_back_until_the_debt_is_paid(
    clock: Clock,
) -> None:
    found = allowance(clock, {"messages": "10/1s"})
    assert found.decide([1] * 9) is None
    verdict = found.decide([1] * 11)
    assert verdict is not None
    assert (verdict.passed, verdict.over) == (11, Over.SLOW)
    assert verdict.wait == pytest.approx(1.1)
    clock.at += 0.6
    assert found.wait() == pytest.approx(0.5)
    clock.at += 0.6
    assert found.wait() == 0


@pytest.mark.parametrize("over", [Over.REFUSE, Over.PARK])
def test_messages_behind_the_limit_do_not_pass(clock: Clock, over: Over) -> None:
    found = allowance(clock, {"messages": "10/1s", "over": over})
    verdict = found.decide([1] * 25)
    assert verdict is not None
    assert (verdict.passed, verdict.over) == (10, over)
    assert "messages" in verdict.why
    assert "'plant'" in verdict.why
    assert passed(found.decide([1] * 25), 25) == 0
    clock.at += 0.5
    assert passed(found.decide([1] * 25), 25) == 5
    assert found.owner.over[over] == 15 + 25 + 20


def test_what_does_not_pass_takes_nothing_from_the_owner(clock: Clock) -> None:
    found = allowance(
        clock, {"messages": "100/1s", "over": "refuse"}, {"messages": "10/1s", "over": "refuse"}
    )
    assert passed(found.decide([1] * 500), 500) == 10
    other = Allowance(found.owner, None, clock)
    assert passed(other.decide([1] * 500), 500) == 90


def test_a_message_larger_than_the_whole_limit_passes_at_times(clock: Clock) -> None:
    found = allowance(clock, {"bytes": "1KiB/1s", "over": "refuse"})
    assert passed(found.decide([4096, 1]), 2) == 1
    clock.at += 3.01
    assert passed(found.decide([4096]), 1) == 1


@pytest.mark.parametrize("over", [Over.REFUSE, Over.SLOW])
def test_a_request_passes_whole_or_not_at_all(clock: Clock, over: Over) -> None:
    found = allowance(clock, {"messages": "10/1s", "over": over})
    assert found.decide([1] * 30, whole=True) is None
    verdict = found.decide([1], whole=True)
    assert verdict is not None
    assert verdict.passed == 0
    assert verdict.wait == pytest.approx(2.1)
    clock.at += 2.2
    assert found.decide([1], whole=True) is None


def test_a_unit_is_cut_off_and_comes_back_after_its_time(clock: Clock) -> None:
    found = allowance(clock, {}, {"messages": "10/1h", "over": "cut", "cut_for": "1m"})
    told: list[Subject] = []
    found._cut = told.append
    verdict = found.decide([1] * 11)
    assert verdict is not None
    assert (verdict.passed, verdict.over) == (10, Over.CUT)
    assert told == [found.unit]
    clock.at += 59
    assert passed(found.decide([1]), 1) == 0
    clock.at += 2
    assert found.decide([1] * 10) is None  # with full buckets


def test_one_who_is_no_unit_is_refused_where_units_are_cut_off(clock: Clock) -> None:
    verdict = allowance(clock, {"messages": "1/1s", "over": "cut"}).decide([1, 1])
    assert verdict is not None
    assert (verdict.passed, verdict.over) == (1, Over.REFUSE)


def test_limits_change_in_place(clock: Clock) -> None:
    found = allowance(clock, {"messages": "10/1s", "over": "refuse"})
    found.decide([1] * 10)
    found.owner.set(merge(parse({"messages": "10/1s", "over": "park"})), clock())
    verdict = found.decide([1])
    assert verdict is not None
    assert verdict.over is Over.PARK  # and the bucket is as empty as it was
    found.owner.set(merge(), clock())
    found.refresh()
    assert not found.limited
