"""A lane: records of some topics of a partition, delivered in order, one delivery after the other.

    pump ──add──> queue ──cut: batch, every, size──> Delivery ──Target.send──> position, letters
                                                        ^             │ TargetUnavailable
                                                        └── pause ────┘

What was cut is sent again as it is until the target has taken it, so a delivery that is repeated
has the same records and the same id.
"""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from lakebed.ports.relays import (
    Delivery,
    Position,
    Record,
    Refusal,
    Refused,
    Target,
    TargetUnavailable,
)
from lakebed.relays.asking import Asking
from lakebed.relays.documents import Spec
from lakebed.vocabulary.errors import LakebedError, Superseded
from lakebed.vocabulary.times import SECOND

log = structlog.get_logger(__name__)

_LARGEST = 8 * 2**20  # bytes of one delivery, unless one record has more
_LONGEST_ERROR = 500  # characters
_LONGEST_TRACE = 2_000  # characters, from its end
_AGAIN = 1.0  # seconds until letters are written again


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record in the queue of a lane.

    Attributes:
        since: seconds of the monotonic clock.
    """

    record: Record
    offset: int
    size: int
    since: float


class Holder(Protocol):
    """What a lane needs of the relay that it is part of. Any thread."""

    def taken(self, count: int, size: int) -> None:
        """A delivery of so many records left the memory."""
        ...

    def sent(self, some: Sequence[Waiting]) -> None:
        """The target has taken these."""
        ...

    def dead(self, refused: Sequence[tuple[Waiting, str]]) -> None:
        """Write dead letters.

        Raises:
            StoreUnavailable: not written.
        """
        ...

    def superseded(self) -> None:
        """Another holds the partition."""
        ...


class Lane:
    """A `pool.Task`. `add`, `position` and `close` are called by other threads.

    Args:
        skip: the offset below which everything was delivered before.
        open_target: opens the target of this lane.
    """

    def __init__(
        self,
        number: int,
        partition: int,
        spec: Spec,
        skip: int,
        open_target: Callable[[], Target],
        asking: Asking,
        holder: Holder,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.number, self.skip = number, skip
        self._partition, self._spec = partition, spec
        self._open, self._asking, self._holder = open_target, asking, holder
        self._monotonic = monotonic
        self._lock = threading.Lock()  # of what `outstanding` looks at
        self._queue: deque[Waiting] = deque()
        self._size = 0
        self._sending: list[Waiting] = []
        self._letters: list[tuple[Waiting, str]] = []
        self._target: Target | None = None
        self._begun = False
        self._alone = False  # deliver one record at a time: the last delivery broke the target
        self._flush = False
        self._not_before = 0.0
        self._busy = False
        self._end = 0  # the position of what is being sent
        self.delivered = self.retries = 0
        self.closed = False

    @property
    def suspect(self) -> bool:
        return self._asking.suspect

    def add(self, waiting: Waiting) -> float:
        """Queue a record; returns seconds after which the lane is due."""
        with self._lock:
            self._queue.append(waiting)
            self._size += waiting.size
        full = len(self._queue) >= self._spec.batch or self._size >= _LARGEST
        return 0.0 if full else self._spec.every / SECOND

    def flush(self) -> None:
        """Deliver what is queued without waiting for more."""
        self._flush = True

    def outstanding(self) -> int | None:
        """The offset of the first record that was not delivered; None where there is none."""
        with self._lock:
            letters = [one.offset for one, _ in self._letters]
            firsts = [some[0].offset for some in (self._sending, self._queue) if some]
        return min((*letters, *firsts), default=None)

    @property
    def idle(self) -> bool:
        """Whether nothing is being sent."""
        return not self._busy

    def close(self) -> None:
        """Send nothing more; what is being sent goes on until its time-out."""
        self.closed = True
        self._asking.forget(self)

    # --- on a thread of the pool ------------------------------------------------------------------

    def run(self) -> float | None:
        if self.closed:
            self._release()
            return None
        self._busy = True
        try:
            return self._run()
        finally:
            self._busy = False
            self._release()

    def _run(self) -> float | None:
        now = self._monotonic()
        if self._letters:
            return self._bury()
        if not self._sending and (wait := self._cut(now)) is not None:
            return wait if self._queue else None
        if now < self._not_before:
            return self._not_before - now
        wait = self._asking.wait(self, now, len(self._sending))
        if wait is None or wait > 0:
            return wait
        return self._send()

    def _cut(self, now: float) -> float | None:
        """Take the next delivery out of the queue, or return seconds until there is one."""
        queue, spec = self._queue, self._spec
        if not queue:
            self._flush = False
            return _AGAIN
        full = self._flush or len(queue) >= spec.batch or self._size >= _LARGEST
        due = queue[0].since + spec.every / SECOND
        if not full and now < due:
            return due - now
        most = 1 if self._alone else spec.batch
        some: list[Waiting] = []
        size = 0
        with self._lock:
            while queue:
                # records of one message stay together: a position lies between messages
                together = bool(some) and queue[0].offset == some[-1].offset
                large = len(some) >= most or size + queue[0].size > _LARGEST
                if some and large and not together:
                    break
                one = queue.popleft()
                some.append(one)
                size += one.size
            self._size -= size
            self._sending, self._end = some, some[-1].offset + 1
        if not queue:
            self._flush = False
        return None

    def _send(self) -> float | None:
        delivery = self._delivery()
        started = self._monotonic()
        try:
            target = self._opened()
            if not self._sending:  # the target has them all
                self._asking.succeeded(self, self._monotonic() - started, 0)
                return 0.0
            if len(self._sending) < len(delivery.records):
                delivery = self._delivery()
            refusals: Sequence[Refusal] = target.send(delivery)
        except TargetUnavailable as error:
            return self._failed(str(error), started, error.wait)
        except Refused as error:
            self._asking.succeeded(self, self._monotonic() - started, 0)
            return self._refused(error.refusals, rest=True)
        except Superseded:
            self._holder.superseded()
            return None
        except LakebedError as error:
            return self._failed(str(error), started, None)
        except Exception as error:
            return self._broken(error, started)
        gone = {refusal.index for refusal in refusals}
        self._holder.sent([one for i, one in enumerate(self._sending) if i not in gone])
        count = len(self._sending) - len(gone)
        self._asking.succeeded(self, self._monotonic() - started, count)
        self.delivered += count
        self._alone = False
        return self._refused(refusals, rest=False)

    def _opened(self) -> Target:
        """The target, which has said by now what it has."""
        if self._target is None:
            self._target = self._open()
        if not self._begun:
            position = self._target.position()
            if position is not None and position > self.skip:
                self.skip = position
                self._drop(position)
            self._begun = True
        return self._target

    def _drop(self, position: int) -> None:
        """Leave out what the target has already."""
        with self._lock:
            known = [one for one in self._sending if one.offset < position]
            self._sending = [one for one in self._sending if one.offset >= position]
            while self._queue and self._queue[0].offset < position:
                known.append(self._queue.popleft())
                self._size -= known[-1].size
        self._holder.taken(len(known), sum(one.size for one in known))

    def _delivery(self) -> Delivery:
        some = self._sending
        position = Position(self._spec.id, self._partition, self.number, self._end)
        between = f"{some[0].offset}-{self._end}.{len(some)}"
        id = f"{self._spec.id}/{self._partition}.{self.number}/{between}"
        return Delivery(id, [one.record for one in some], position)

    def _failed(self, error: str, started: float, wait: int | None) -> float:
        now = self._monotonic()
        self.retries += 1
        self._begun = False  # another may have delivered meanwhile: ask again what the target has
        seconds = self._asking.failed(self, now, error[:_LONGEST_ERROR], wait, now - started)
        self._not_before = now + seconds
        return seconds

    def _broken(self, error: Exception, started: float) -> float | None:
        """An error that no target should raise: the record at fault is isolated, others go on."""
        what = f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
        log.error("a target of a relay failed", relay=self._spec.id, trace=trace)
        if len(self._sending) > 1:
            with self._lock:
                self._queue.extendleft(reversed(self._sending[1:]))
                self._size += sum(one.size for one in self._sending[1:])
                self._sending = self._sending[:1]
                self._end = self._sending[0].offset + 1
            self._alone = True
            return self._failed(what, started, None)
        self._asking.succeeded(self, self._monotonic() - started, 0)
        return self._refused([Refusal(0, what[:_LONGEST_ERROR])], rest=False)

    def _refused(self, refusals: Sequence[Refusal], rest: bool) -> float | None:
        """What was sent is done, except what was refused; with `rest` the others are sent yet."""
        gone = {r.index for r in refusals}
        sent = self._sending
        with self._lock:
            self._letters = [(sent[r.index], r.reason) for r in refusals]
            self._sending = [one for i, one in enumerate(sent) if i not in gone] if rest else []
        done = [one for i, one in enumerate(sent) if not rest or i in gone]
        self._holder.taken(len(done), sum(one.size for one in done))
        return self._bury() if self._letters else 0.0

    def _bury(self) -> float:
        try:
            self._holder.dead(self._letters)
        except LakebedError as error:
            log.warning("dead letters of a relay wait for the catalog", error=str(error))
            return _AGAIN
        with self._lock:
            self._letters = []
        return 0.0

    def _release(self) -> None:
        """Close the target of a lane that was closed."""
        if not self.closed:
            return
        target, self._target, self._begun = self._target, None, False
        if target is not None:
            target.close()
