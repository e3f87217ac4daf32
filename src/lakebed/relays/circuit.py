"""Whether a target may be asked now: pauses after failures, as pure functions of the clock.

closed ──FAILURES in a row──> open ──pause is over──> half-open ──one delivery──> closed
  ^                             ^                         └──failed──> open, longer
  └─────────── success ─────────┴── each pause twice as long as the one before, up to `most`
"""

from collections.abc import Callable
from random import random

from lakebed.relays.state import Circuit as Word
from lakebed.vocabulary.times import SECOND, Micros

FAILURES = 3
"""In a row, of all lanes of a relay, until its circuit opens."""

_JITTER = 0.25  # of a pause is left to chance, so that relays do not come back together


def pause(failures: int, first: Micros, most: Micros, chance: float) -> float:
    """Seconds until the next try after so many failures in a row.

    Args:
        chance: from 0 to 1.
    """
    doubled = min(most, first << min(max(failures - 1, 0), 40))
    return doubled * (1 - _JITTER * chance) / SECOND


class Circuit:
    """Of the target of one relay in one process. The caller locks it.

    Args:
        first, most: the first pause and the longest, microseconds.
        chance: gives numbers from 0 to 1.

    Attributes:
        failures: in a row.
        until: seconds of the monotonic clock at which it is asked again; 0 while it is closed.
    """

    def __init__(self, first: Micros, most: Micros, chance: Callable[[], float] = random) -> None:
        self._first, self._most, self._chance = first, most, chance
        self.failures = 0
        self.until = 0.0
        self._trying: object | None = None

    def word(self, now: float) -> Word:
        if not self.until:
            return "closed"
        return "half-open" if now >= self.until else "open"

    def wait(self, who: object, now: float) -> float | None:
        """Seconds that `who` must wait; 0 to go on, None until the circuit is closed.

        While it is half-open the first that asks tries for all.
        """
        if not self.until or self._trying is who:
            return 0.0
        if now < self.until:
            return self.until - now if self._trying is None else None
        if self._trying is None:
            self._trying = who
            return 0.0
        return None

    def succeeded(self) -> None:
        self.failures, self.until, self._trying = 0, 0.0, None

    def failed(self, who: object, now: float, wait: Micros | None = None) -> float:
        """Note a failure; returns seconds after which `who` may try again.

        Args:
            wait: what the target asked for.
        """
        self.failures += 1
        over = max(0, self.failures - FAILURES) + 1
        seconds = pause(over, self._first, self._most, self._chance())
        if wait is not None:
            seconds = max(seconds, min(wait, self._most) / SECOND)
        if self.failures >= FAILURES or self.until:
            self.until, self._trying = now + seconds, None
        return seconds

    def forget(self, who: object) -> None:
        """Whoever tried is gone."""
        if self._trying is who:
            self._trying = None
