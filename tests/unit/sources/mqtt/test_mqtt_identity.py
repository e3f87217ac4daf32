"""The identity of a process at brokers, and what tells that two have the same."""

import os

import pytest

from lakebed.sources.mqtt.client import identity
from lakebed.sources.mqtt.client.takeover import TakeoverDetector


def test_a_home_gives_the_same_identity_again_and_two_processes_different_ones(tmp_path):
    first, held = identity.claim(tmp_path)
    second, other = identity.claim(tmp_path)
    assert first
    assert second
    assert first != second
    os.close(held)
    assert identity.claim(tmp_path)[0] == first
    os.close(other)


def test_two_homes_have_two_identities_and_an_emptied_one_its_own_again(tmp_path):
    (one, _), (other, _) = (identity.claim(tmp_path / name) for name in ("a", "b"))
    assert one != other
    (tmp_path / "a" / "source-0.id").unlink()
    assert identity.claim(tmp_path / "a")[0] == one


def test_a_home_of_an_earlier_version_keeps_the_sessions_it_has(tmp_path):
    (tmp_path / "lineage.json").write_text("{}")
    first, held = identity.claim(tmp_path)
    assert first == ""
    assert identity.claim(tmp_path)[0] != ""
    os.close(held)
    assert identity.claim(tmp_path)[0] == ""


def test_a_home_that_cannot_be_written_has_an_identity_all_the_same(tmp_path):
    (tmp_path / "file").touch()
    made, held = identity.claim(tmp_path / "file" / "home")
    assert made
    assert held is None


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ([(0, True), (59, True)], True),
        ([(0, True), (61, True)], False),
        ([(0, False), (10, False)], False),
        ([(0, False), (10, False), (20, False)], True),
        ([(0, False), (30, False), (70, False)], False),
    ],
)
def test_to_be_thrown_out_several_times_within_a_minute_is_told(ends, told):
    detector = TakeoverDetector()
    for at, taken_over in ends:
        detector.ended(at, 1.0, taken_over=taken_over, closed=not taken_over)
    assert bool(detector.text(ends[-1][0])) is told
    assert not detector.text(ends[-1][0] + 200), "it is over"


def test_connections_that_lasted_or_that_we_ended_count_for_nothing():
    detector = TakeoverDetector()
    for at in range(5):
        detector.ended(at, 100.0, taken_over=False, closed=True)
        detector.ended(at, 1.0, taken_over=False, closed=False)
    assert not detector.text(5)
