"""When a target is asked again, on a clock that the tests move."""

from lakebed.relays.circuit import FAILURES, Circuit, pause
from lakebed.vocabulary.times import MINUTE, SECOND


def test_pauses_double_up_to_the_longest_and_a_part_is_left_to_chance() -> None:
    pauses = [pause(n, SECOND, MINUTE, 0) for n in range(1, 9)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause(3, SECOND, MINUTE, 1) == 3
    assert pause(10**9, SECOND, MINUTE, 0) == 60


def circuit() -> Circuit:
    return Circuit(SECOND, MINUTE, lambda: 0.0)


def test_it_opens_after_failures_in_a_row_and_one_tries_for_all() -> None:
    one = circuit()
    for _ in range(FAILURES - 1):
        one.failed("a", 0.0)
        assert (one.word(0.0), one.wait("b", 0.0)) == ("closed", 0.0)
    assert one.failed("a", 0.0) == 1.0
    assert (one.word(0.5), one.wait("b", 0.5)) == ("open", 0.5)
    assert one.word(1.0) == "half-open"
    assert one.wait("b", 1.0) == 0.0  # it tries
    assert one.wait("a", 1.0) is None  # the others hear of it
    assert one.wait("b", 1.0) == 0.0
    one.succeeded()
    assert (one.word(1.0), one.wait("a", 1.0), one.failures) == ("closed", 0.0, 0)


def test_who_tries_in_vain_opens_it_for_longer() -> None:
    one = circuit()
    for _ in range(FAILURES):
        one.failed("a", 0.0)
    assert one.wait("b", 1.0) == 0.0
    assert one.failed("b", 1.0) == 2.0
    assert one.wait("a", 2.0) == 1.0
    assert one.wait("a", 3.0) == 0.0


def test_a_success_in_between_begins_to_count_again() -> None:
    one = circuit()
    for _ in range(5):
        one.failed("a", 0.0)
        one.failed("a", 0.0)
        one.succeeded()
    assert one.word(0.0) == "closed"


def test_a_target_that_says_how_long_to_wait_is_heard_up_to_the_longest() -> None:
    assert circuit().failed("a", 0.0, 30 * SECOND) == 30
    assert circuit().failed("a", 0.0, 3600 * SECOND) == 60


def test_one_that_is_gone_lets_another_try() -> None:
    one = circuit()
    for _ in range(FAILURES):
        one.failed("a", 0.0)
    assert one.wait("b", 5.0) == 0.0
    one.forget("b")
    assert one.wait("a", 5.0) == 0.0
