"""The time from which a journal computes ages, so that a wrong wall clock deletes nothing.

With a clock that is ahead, everything looks old. So ages are computed from the journal's own times
and the time that has passed since; the wall clock counts if they agree with it. While it is behind,
more is kept.
"""

import time
from collections.abc import Callable

from lakebed.vocabulary.times import Micros

_STEP: Micros = 1_000_000  # a clock that differs by so much more than before was set


def uptime() -> Micros:
    """A monotonic clock that also counts while the machine is suspended, microseconds."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


class WriterTime:
    """The time of a journal with one writer, which stamps entries by its own wall clock.

    At the start, and when the clock is set forward, it is unknown whether it was wrong before or is
    wrong now. Until `span` has passed, time continues from where it was. Then everything written
    before is older than `span` in any case, and the clock is right by definition.

    Args:
        span: the age at which something is deleted.
        newest: when the newest entry was written; None if there is none.
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
        """The time before which everything is older than the span."""
        return self.now() - self._span


class SharedTime:
    """The time of a journal with many writers: its newest time seen, plus the time since then.

    Args:
        clock: the wall clock of this process; it counts if it shows less.
    """

    def __init__(self, clock: Callable[[], Micros], passed: Callable[[], Micros] = uptime) -> None:
        self._clock, self._passed = clock, passed
        self._offset: Micros | None = None

    def saw(self, newest: Micros) -> None:
        """Note that an entry was written at this time."""
        offset = newest - self._passed()
        if self._offset is None or offset > self._offset:
            self._offset = offset

    def reached(self) -> Micros:
        """The journal's time by its writers' clocks; 0 while nothing was seen."""
        return 0 if self._offset is None else self._passed() + self._offset

    def now(self) -> Micros:
        return min(self._clock(), self.reached())
