"""The time by which a journal lets go of what is old, so that a wrong wall clock harms nothing.

A clock that is ahead makes everything look old. So the journal's own times decide, and what time
has passed since; the clock of the moment counts where they agree with it. Where it is behind, more
is kept for a while.
"""

import time
from collections.abc import Callable

from lakebed.vocabulary.times import Micros

_STEP: Micros = 1_000_000  # a clock that differs by so much more than before was set


def uptime() -> Micros:
    """Microseconds that have passed since some moment, also while the machine slept."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


class WriterTime:
    """The time of a journal with one writer, whose wall clock is also that of what it writes.

    At the start and where the clock is set forward, nobody knows whether it was wrong before or is
    now. Until `span` has passed, time goes on from where it was; then everything written before is
    older than `span` anyway, and the clock is right by definition.

    Args:
        span: the age at which something is let go of.
        newest: when the newest of what there is was written; None where there is nothing.
    """

    def __init__(
        self,
        span: Micros,
        newest: Micros | None,
        clock: Callable[[], Micros],
        passed: Callable[[], Micros] = uptime,
    ) -> None:
        self._span, self._clock, self._passed = span, clock, passed
        self._offset = (clock() if newest is None else newest) - passed()
        self._ahead, self._since = 0, passed()
        self.now()

    def now(self) -> Micros:
        wall, passed = self._clock(), self._passed()
        ahead = wall - passed - self._offset
        if ahead > 0:
            if abs(ahead - self._ahead) > _STEP:
                self._ahead, self._since = ahead, passed
            if passed - self._since < self._span:
                return passed + self._offset
        self._offset, self._ahead = wall - passed, 0
        return wall

    def oldest(self) -> Micros:
        """What was written before it is older than the span."""
        return self.now() - self._span


class SharedTime:
    """The time of a journal that many write: the newest that was seen in it, and what has passed.

    Args:
        clock: of this process; it counts where it shows less.
    """

    def __init__(self, clock: Callable[[], Micros], passed: Callable[[], Micros] = uptime) -> None:
        self._clock, self._passed = clock, passed
        self._offset: Micros | None = None

    def saw(self, newest: Micros) -> None:
        """Something was written then."""
        offset = newest - self._passed()
        if self._offset is None or offset > self._offset:
            self._offset = offset

    def reached(self) -> Micros:
        """The journal's time by those who write to it; 0 while nothing was seen."""
        return 0 if self._offset is None else self._passed() + self._offset

    def now(self) -> Micros:
        return min(self._clock(), self.reached())
