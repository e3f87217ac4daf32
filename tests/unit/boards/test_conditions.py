"""What a last value must be: each key of an alert tile, at its edges."""

from typing import Any

import pytest

from lakebed.boards.conditions import Condition
from lakebed.vocabulary.times import MINUTE

NOW = 1_000 * MINUTE


@pytest.mark.parametrize(
    ("tile", "value", "age", "state"),
    [
        ({"above": 30}, 30.0, 0, "fine"),
        ({"above": 30}, 30.1, 0, "broken"),
        ({"below": 10}, 10.0, 0, "fine"),
        ({"below": 10}, 9.0, 0, "broken"),
        ({"below": 10, "above": 30}, 31.0, 0, "broken"),
        ({"outside": [10, 30]}, 10.0, 0, "fine"),
        ({"outside": [10, 30]}, 30.0, 0, "fine"),
        ({"outside": [10, 30]}, 9.9, 0, "broken"),
        ({"outside": [10, 30]}, 30.1, 0, "broken"),
        ({"equals": 0}, 0.0, 0, "broken"),
        ({"equals": 0}, "0.0", 0, "broken"),  # a policy of texts keeps numbers as they are written
        ({"equals": 0}, 1.0, 0, "fine"),
        ({"equals": 0}, "off", 0, "fine"),
        ({"equals": "OFF"}, "OFF", 0, "broken"),
        ({"equals": "OFF"}, "off", 0, "fine"),
        ({"above": 30}, "31", 0, "broken"),
        ({"above": 30}, "warm", 0, "broken"),  # no number is within no bounds
        ({"above": 30}, float("nan"), 0, "broken"),
        ({"silent": "5m"}, "warm", 5 * MINUTE, "fine"),
        ({"silent": "5m"}, 1.0, 5 * MINUTE + 1, "silent"),
        ({"above": 30, "silent": "5m"}, 31.0, 6 * MINUTE, "silent"),  # it says nothing any more
        ({"above": 30}, 29.0, 10_000 * MINUTE, "fine"),
    ],
)
def test_a_state_is_that_of_the_last_value(
    tile: dict[str, Any], value: float | str, age: int, state: str
) -> None:
    assert Condition.of(tile).state(value, NOW - age, NOW) == state
