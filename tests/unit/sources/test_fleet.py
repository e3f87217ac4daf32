"""Simulated devices: made up, but the same from the same seed, and believable."""

import itertools
import json

from lakebed.simulation.fleet import Device, fleet
from lakebed.vocabulary.time_parsing import from_rfc3339
from lakebed.vocabulary.times import HOUR, SECOND

START = from_rfc3339("2026-03-01T00:00:00Z")


def telemetry(device: Device, seconds: int, step: int = 1) -> list[dict[str, float]]:
    steps = (device.step(START + at * SECOND) for at in range(0, seconds, step))
    return [json.loads(payload) for messages in steps for _, payload in messages[:1]]


def test_the_same_seed_says_the_same() -> None:
    clocks = [START + at * SECOND for at in range(300)]
    one, two = Device(3, seed=7), Device(3, seed=7)
    assert [one.step(clock) for clock in clocks] == [two.step(clock) for clock in clocks]
    assert [Device(4, seed=7).step(clock) for clock in clocks] != [
        Device(3, seed=7).step(clock) for clock in clocks
    ]


def test_telemetry_comes_with_every_step_and_carries_its_time() -> None:
    device = Device(1, seed=1)
    for at in (START, START + SECOND):
        topic, payload = device.step(at)[0]
        assert topic == "plant/south/th-01/telemetry"
        assert json.loads(payload)["ts"] == at / SECOND


def test_the_state_is_said_first_and_then_only_when_it_changes() -> None:
    device = Device(1, seed=1)
    states = [
        payload
        for at in range(3600)
        for topic, payload in device.step(START + at * SECOND)
        if topic.endswith("/state")
    ]
    assert 10 < len(states) < 90  # about one in two minutes
    assert all(before != after for before, after in itertools.pairwise(states))


def test_a_day_is_warmer_in_the_afternoon_than_before_dawn() -> None:
    for number in range(5):
        rows = telemetry(Device(number, seed=1), 24 * 3600, step=60)
        at = [row["celsius"] for row in rows]
        assert sum(at[14 * 60 : 16 * 60]) > sum(at[2 * 60 : 4 * 60])
        assert -20 < min(at) < max(at) < 50
        assert all(970 < row["hectopascal"] < 1060 for row in rows)


def test_the_battery_drains_and_is_changed_before_it_is_empty() -> None:
    levels = [row["battery"] for row in telemetry(Device(1, seed=1), 200 * 3600, step=3600)]
    assert min(levels) >= 5
    assert max(levels) <= 100
    assert any(after > before for before, after in itertools.pairwise(levels))


def test_alarms_are_rare_and_name_their_device() -> None:
    alarms = [
        (topic, json.loads(payload))
        for device in fleet(20, seed=1)
        for at in range(0, 3600, 10)
        for topic, payload in device.step(START + at * SECOND)
        if topic.startswith("alarm/")
    ]
    assert 60 < len(alarms) < 200  # 20 devices, one in ten minutes each
    assert all(topic == f"alarm/{alarm['device']}" for topic, alarm in alarms)


def test_a_clock_that_goes_back_or_leaps_is_survived() -> None:
    device = Device(1, seed=1)
    for at in (START, START - HOUR, START + 10_000 * HOUR):
        assert device.step(at)
