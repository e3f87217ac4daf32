"""What a last value must be, for alert tiles: the state of a topic, worked out from its last value.

    value, time, moment ──Condition.state──> fine │ broken │ silent

A tile names its condition itself, with the keys that an alert has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lakebed.vocabulary.times import Micros, parse_duration

State = Literal["fine", "broken", "silent"]

BOUNDS = ("above", "below", "outside")
KEYS = (*BOUNDS, "equals", "silent")


@dataclass(frozen=True, slots=True)
class Condition:
    """When a topic is not fine; it is broken as soon as one of these holds.

    Attributes:
        above, below: the value is greater or less than this.
        outside: the value is less than the first, or greater than the second.
        equals: the value is this; numbers are compared as numbers.
        silent: microseconds that its last value may be old.
    """

    above: float | None = None
    below: float | None = None
    outside: tuple[float, float] | None = None
    equals: float | str | None = None
    silent: Micros | None = None

    @classmethod
    def of(cls, tile: Mapping[str, Any]) -> "Condition":
        """The condition of a tile that was checked."""
        silent, outside = tile.get("silent"), tile.get("outside")
        return cls(
            tile.get("above"),
            tile.get("below"),
            None if outside is None else (outside[0], outside[1]),
            tile.get("equals"),
            None if silent is None else parse_duration(silent),
        )

    def state(self, value: float | str, time: Micros, moment: Micros) -> State:
        """The state of a topic whose last value is of this time.

        A value that is no number is broken, where it should be within bounds.
        """
        if self.silent is not None and moment - time > self.silent:
            return "silent"
        if self.equals is not None and _equal(value, self.equals):
            return "broken"
        if self.above is None and self.below is None and self.outside is None:
            return "fine"
        number = _number(value)
        if number is None:
            return "broken"
        low, high = self.outside or (None, None)
        least = [bound for bound in (self.below, low) if bound is not None]
        most = [bound for bound in (self.above, high) if bound is not None]
        within = all(number >= bound for bound in least) and all(number <= bound for bound in most)
        return "fine" if within else "broken"


def _number(value: float | str) -> float | None:
    """The number in a value, as a policy of texts may hold one; None where it is none."""
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if number != number else number


def _equal(value: float | str, wanted: float | str) -> bool:
    if isinstance(wanted, str):
        return value == wanted
    return _number(value) == wanted
