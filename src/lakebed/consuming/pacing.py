"""When a consumer writes, saves and polls: arithmetic on clocks that are passed in."""

from collections.abc import Sequence

from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import LATEST, Micros

_TICK: Micros = 200_000
"""Flushes happen on this grid, so that rows share inserts. Between two flushes nothing that is read
can be written, so messages gather, and there is one poll per flush."""

_SETTLE: Micros = 100_000  # in which a message that was read from a socket reaches the journal
_LONGEST_WAIT = 0.5  # seconds after which chores want their turn though nothing has come
_SHORTEST_WAIT = 0.05  # seconds
_STEP: Micros = 1_000_000  # a clock that shows so much less than before was set back
_SHARE = 20  # saving may take 1/20 of the time
_LIGHT = 5_000  # messages that may be read again, or counted for an answer, to save checkpoints,
_LONGEST = 30.0  # but no longer than so many seconds


class JournalTime:
    """The time by which buffers and windows are due, made of the wall clock and of what was read.

    While a consumer is behind, it is the journal's time. And nothing was received later than now,
    whatever a clock that was set back had shown.

    Args:
        delay: how long messages are held back before they are appended, microseconds.
    """

    def __init__(self, delay: Micros = 0) -> None:
        self._settle = _SETTLE + delay
        self._latest: Micros = LATEST  # that the clock has shown; unknown at a start

    def after(self, entries: Sequence[Entry], now: Micros, behind: bool) -> Micros:
        """Everything received before it has been absorbed, once `entries` are.

        Args:
            now: the wall clock.
            behind: whether there is probably more to read.
        """
        settled = now - self._settle
        return min(settled, _newest(entries, settled)) if behind else settled

    def was_set_back(self, now: Micros, entries: Sequence[Entry]) -> bool:
        """Whether the clock shows less than it did: what is due by it may be due in hours.

        Pending data is written then, and later data is due by the clock as it is now.
        """
        set_back = now < self._latest - _STEP
        self._latest = now if set_back else max(now, _newest(entries, now), self._latest)
        return set_back

    def wait_for(self, due: Micros | None, now: Micros) -> float:
        """Seconds that a poll waits for messages: until the flush that writes what is due."""
        if due is None:
            return _LONGEST_WAIT
        flush = -(-due // _TICK) * _TICK + self._settle
        return min(max((flush - now) / 1e6, _SHORTEST_WAIT), _LONGEST_WAIT)

    def until_flush(self, now: Micros) -> float:
        """Seconds until the next flush."""
        return (_TICK - (now - self._settle) % _TICK) / 1e6


def on_grid(time: Micros) -> Micros:
    """The newest flush that is not later."""
    return time // _TICK * _TICK


def _newest(entries: Sequence[Entry], otherwise: Micros) -> Micros:
    received = [entry.batch.received for entry in entries if len(entry.batch)]
    return max((int(times.max()) for times in received), default=otherwise)


class CheckpointInterval:
    """How far apart checkpoints are: at least so many seconds, and more where saving is slow."""

    def __init__(self, shortest: float) -> None:
        self._shortest = self.seconds = shortest

    def took(self, seconds: float) -> None:
        self.seconds = max(self._shortest, _SHARE * seconds)

    def between(self, pace: Micros, messages: int) -> float:
        """Seconds between two checkpoints of what is written at most once per `pace`.

        A part that gathers rows for long does so to spare the disk: where few messages come, its
        state is written twice in that time, and not every second.

        Args:
            messages: absorbed since the last checkpoint.
        """
        if messages >= _LIGHT:
            return self.seconds
        return max(self.seconds, min(pace / 2e6, _LONGEST))
