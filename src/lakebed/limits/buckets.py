"""Token buckets: amounts that flow in steadily, and are taken by messages.

    refill, `amount` per `interval` ──> [ level, at most `amount` ] ──take──> may fall below 0: debt

A bucket is full at first. In any stretch of time of the length d it lets through at most
`amount` + d * `amount` / `interval`, whatever came before, and in the long run the rate exactly.
"""

from collections.abc import Sequence
from math import inf

from lakebed.vocabulary.limits import Rate
from lakebed.vocabulary.times import SECOND


class TokenBuckets:
    """The buckets of several intervals, all of which must have something left.

    Args:
        at: seconds of a monotonic clock.

    Attributes:
        rates: amount and interval of each.
    """

    __slots__ = ("_amounts", "_at", "_levels", "_speeds", "rates")

    def __init__(self, rates: Sequence[Rate], at: float) -> None:
        self.rates = tuple(rates)
        self._amounts = [float(rate.amount) for rate in rates]
        self._speeds = [rate.amount * SECOND / rate.interval for rate in rates]
        self._levels = list(self._amounts)
        self._at = at

    def level(self, at: float) -> float:
        """What is left now in the bucket that has least; below 0 it is a debt."""
        passed = at - self._at
        levels = self._levels
        if passed > 0:
            self._at = at
            for i, speed in enumerate(self._speeds):
                level = levels[i] + passed * speed
                levels[i] = level if level < self._amounts[i] else self._amounts[i]
        return min(levels)

    def take(self, amount: float) -> None:
        """Take from all of them, also what they do not have."""
        levels = self._levels
        for i, level in enumerate(levels):
            levels[i] = level - amount

    def wait(self, at: float, needed: float) -> float:
        """Seconds until each bucket has this much."""
        self.level(at)
        return max(
            (needed - level) / speed
            for level, speed in zip(self._levels, self._speeds, strict=True)
        ) if min(self._levels) < needed else 0.0  # fmt: skip

    def used(self, at: float) -> float:
        """The used part of the fullest interval, from 0 to 1; more where there is a debt."""
        self.level(at)
        return max(
            1 - level / amount for level, amount in zip(self._levels, self._amounts, strict=True)
        )

    @property
    def longest(self) -> float:
        """Seconds until the slowest is full again, from empty."""
        return max((rate.interval / SECOND for rate in self.rates), default=inf)
