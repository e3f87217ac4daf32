"""How many requests come without signing in."""

import pytest

from lakebed.api import strangers
from lakebed.api.strangers import Strangers
from lakebed.vocabulary.errors import TooMany


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(door: Strangers, address: str, times: int = 1_000) -> int:
    for count in range(times):
        try:
            door.admit(address)
        except TooMany:
            return count
    return times


def test_an_address_has_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    door = Strangers(10, clock)
    assert admitted(door, "10.0.0.1") == 50
    with pytest.raises(TooMany) as error:
        door.admit("10.0.0.1")
    assert error.value.seconds == 1
    assert admitted(door, "10.0.0.2") == 50
    clock.now += 1
    assert admitted(door, "10.0.0.1") == 10
    clock.now += 1_000
    assert admitted(door, "10.0.0.1") == 50


def test_a_network_of_ipv6_counts_as_one() -> None:
    door = Strangers(1, Clock())
    assert sum(admitted(door, f"2001:db8::{place:x}", 1) for place in range(20)) == 5
    assert admitted(door, "2001:db8:0:1::1") == 5


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST", 3)
    door = Strangers(1, Clock())
    for place in range(10):
        door.admit(f"10.0.0.{place}")
    assert len(door._buckets) == 3
