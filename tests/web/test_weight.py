"""What is stored, how it grows, and when the disk is full."""

import pytest

from lakebed.ports.health import Health
from lakebed.vocabulary.times import HOUR
from lakebed.web.weight import Weight, days_left, weigh


def test_the_heaviest_are_those_of_the_newest_sample() -> None:
    found = weigh({0: {"a": 10, "b": 900}, HOUR: {}, 2 * HOUR: {"a": 300, "b": 100, "c": 0}})
    assert found.total == 400
    assert found.heaviest == (("a", 300), ("b", 100))


@pytest.mark.parametrize(
    ("samples", "daily"),
    [
        ({}, None),
        ({5: {"a": 100}}, None),  # one sample says nothing of growth
        ({5: {"a": 100}, 7: {"a": 200}}, 1_200),
        ({5: {"a": 100}, 6: {}, 7: {"a": 200}}, 1_200),  # an hour without a sample is no zero
        ({5: {"a": 200}, 8: {"a": 140}}, -480),
    ],
)
def test_growth_is_from_the_first_sample_to_the_newest(
    samples: dict[int, dict[str, int]], daily: float | None
) -> None:
    found = weigh({hour * HOUR: bytes for hour, bytes in samples.items()}).daily
    assert found == (daily if daily is None else pytest.approx(daily))


@pytest.mark.parametrize(
    ("daily", "free", "on_disk", "days"),
    [
        (100.0, 2_000, 0, 10.0),
        (100.0, 2_000, 500, 20.0),  # half as many bytes on disk as were kept
        (100.0, 900, 500, 0.0),
        (-5.0, 2_000, 500, None),
        (None, 2_000, 500, None),
    ],
)
def test_the_disk_is_full_when_its_reserve_is_left(
    daily: float | None, free: int, on_disk: int, days: float | None
) -> None:
    parts = {
        "disk": Health(True, detail={"free": free}),
        "series": Health(True, detail={"bytes": on_disk} if on_disk else {}),
    }
    assert days_left(parts, Weight(1_000, (), daily), 1_000) == days
