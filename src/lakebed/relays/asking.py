"""Whether the target of a relay may be asked now, and how it has answered; of all its lanes.

lane ──wait──> circuit, rate ──> 0: go on    succeeded, failed ──> error, retries, rate
"""

import threading
import time
from collections.abc import Callable
from math import exp

from lakebed.limits.buckets import TokenBuckets
from lakebed.relays.circuit import Circuit, pause
from lakebed.relays.documents import Spec
from lakebed.relays.pool import Task
from lakebed.relays.state import Circuit as Word
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.times import now as wall_clock

_SLOW = 2.0  # seconds of a delivery from which on a target is suspect
_SPAN = 30.0  # seconds over which the rate is averaged


class Asking:
    """Of one relay in one process. Any thread.

    Args:
        most: deliveries at a time.
        wake: schedules lanes that waited.
        observe: told of each delivery: the kind of target, what became of it, and seconds.
    """

    def __init__(
        self,
        spec: Spec,
        most: int,
        wake: Callable[[Task], None],
        observe: Callable[[str, str, float], None] = lambda target, outcome, seconds: None,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._spec, self._most, self._wake, self._observe = spec, most, wake, observe
        self._monotonic, self._clock = monotonic, clock
        self._lock = threading.Lock()
        self._circuit = Circuit(spec.first, spec.most)
        self._buckets = TokenBuckets(spec.rate, monotonic()) if spec.rate else None
        self._sending: set[Task] = set()
        self._waiting: dict[Task, None] = {}
        self._failures: dict[Task, int] = {}
        self._proven = False
        self._seconds = 0.0  # of the last delivery
        self._rate, self._rated = 0.0, monotonic()
        self.error, self.error_at = "", 0

    @property
    def suspect(self) -> bool:
        return self._circuit.failures > 0 or self._seconds > _SLOW

    def wait(self, lane: Task, now: float, records: int) -> float | None:
        """Seconds until the lane may send; 0 to send now, None until it is woken."""
        with self._lock:
            wait: float | None = None
            most = self._most if self._proven else 1  # one lane finds out whether it answers
            if len(self._sending) < most or lane in self._sending:
                wait = self._circuit.wait(lane, now)
            if wait is None:
                self._waiting[lane] = None
                return None
            if wait > 0:
                return wait
            if self._buckets is not None:
                if (wait := self._buckets.wait(now, 1.0)) > 0:
                    self._circuit.forget(lane)
                    return wait
                self._buckets.take(records)
            self._sending.add(lane)
            return 0.0

    def succeeded(self, lane: Task, seconds: float, records: int) -> None:
        with self._lock:
            self._circuit.succeeded()
            self._proven, self._seconds = True, seconds
            self._failures.pop(lane, None)
            self._sending.discard(lane)
            if not self._failures:
                self.error, self.error_at = "", 0
            self._average(records)
            woken = self._woken(len(self._waiting))
        self._observe(self._spec.target, "delivered", seconds)
        for waiting in woken:
            self._wake(waiting)

    def failed(
        self, lane: Task, now: float, error: str, wait: Micros | None, seconds: float
    ) -> float:
        """Note a failure; returns seconds until the lane may try again."""
        with self._lock:
            self._seconds = seconds
            failures = self._failures[lane] = self._failures.get(lane, 0) + 1
            self._sending.discard(lane)
            self.error, self.error_at = error, self._clock()
            until = self._circuit.failed(lane, now, wait)
            own = pause(failures, self._spec.first, self._spec.most, 0.5)
            woken = self._woken(1)
        self._observe(self._spec.target, "retry", seconds)
        for waiting in woken:
            self._wake(waiting)
        return max(until, own)

    def forget(self, lane: Task) -> None:
        """The lane is gone."""
        with self._lock:
            self._circuit.forget(lane)
            self._sending.discard(lane)
            self._waiting.pop(lane, None)
            self._failures.pop(lane, None)
            woken = self._woken(1)
        for waiting in woken:
            self._wake(waiting)

    def told(self) -> tuple[Word, Micros, float]:
        """The circuit, when the target is asked again (0 for now), and records a second."""
        with self._lock:
            now = self._monotonic()
            self._average(0)
            word = self._circuit.word(now)
            wait = max(0.0, self._circuit.until - now)
            until = self._clock() + int(wait * SECOND) if wait else 0
            return word, until, self._rate if self._rate >= 0.05 else 0.0

    def _woken(self, most: int) -> list[Task]:
        woken = list(self._waiting)[:most]
        for lane in woken:
            del self._waiting[lane]
        return woken

    def _average(self, records: int) -> None:
        now = self._monotonic()
        passed = max(now - self._rated, 1e-6)
        self._rated = now
        faded = exp(-passed / _SPAN)
        self._rate = self._rate * faded + records / _SPAN
