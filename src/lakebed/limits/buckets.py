"""Token buckets: amounts that flow in steadily, and are taken by messages.

    refill, `amount` per `interval` ──> [ level, at most `amount` ] ──take──> may fall below 0: debt

A bucket is full at first. In any stretch of time of the length d it lets through at most
`amount` + d * `amount` / `interval`, whatever came before, and in the long run the rate exactly.
"""

from collections.abc import Sequence

from lakebed.vocabulary.limits import Rate
from lakebed.vocabulary.times import SECOND


class TokenBuckets:
    """The buckets of several intervals, all of which must have something left.

    Args:
        at: seconds of a monotonic clock.
        share: the part of the limit that this process has. A bucket holds one message or byte at
            least, so that the rate of a small share passes.
        fill: how full they are at first.

    Attributes:
        rates: amount and interval of each, of the whole limit.
    """

    __slots__ = ("_amounts", "_at", "_levels", "_speeds", "rates")

    def __init__(
        self, rates: Sequence[Rate], at: float, share: float = 1.0, fill: float = 1.0
    ) -> None:
        self.rates = tuple(rates)
        self._set(share)
        self._levels = [amount * fill for amount in self._amounts]
        self._at = at

    def _set(self, share: float) -> None:
        self._amounts = [max(1.0, rate.amount * share) for rate in self.rates]
        self._speeds = [rate.amount * share * SECOND / rate.interval for rate in self.rates]

    def resize(self, at: float, before: float, share: float, fill: float) -> None:
        """Have another share of the limit; what it gains is as full as `fill`, a debt stays."""
        self.level(at)
        self._set(share)
        for i, (level, rate) in enumerate(zip(self._levels, self.rates, strict=True)):
            if share > before:
                level += (share - before) * rate.amount * fill
            elif level > 0:
                level *= share / before
            self._levels[i] = min(level, self._amounts[i])

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

    def fill(self, at: float) -> float:
        """How full the emptiest is, from 0 to 1."""
        self.level(at)
        filled = zip(self._levels, self._amounts, strict=True)
        return max(0.0, min(level / amount for level, amount in filled))

    def rate_of(self, amount: float, seconds: float) -> float:
        """The part of the whole limit that this amount is, of the interval where it is largest."""
        return max(amount * rate.interval / (rate.amount * SECOND * seconds) for rate in self.rates)
