"""What this process sends to readers: answers of the API, live messages over HTTP and MQTT.

    readers' answers ──add──> counts of the hour ──flush, every few seconds──> segments ──> catalog

A process has segments of its own and writes them whole, under a key that no other uses. So a flush
that is repeated, because the catalog's answer was lost, changes nothing. What was counted since the
last flush is lost with a process that is killed; nothing is ever counted twice.
"""

import threading
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

import structlog

from lakebed.metering.segment import NO_UNIT, REST, RowKey, of_rows
from lakebed.ports.catalog.ledger import LedgerSegment, LedgerWriter, Measure
from lakebed.vocabulary.errors import StoreUnavailable
from lakebed.vocabulary.times import HOUR, Micros
from lakebed.vocabulary.times import now as wall_clock

CountSent = Callable[[str, str, str, str, str, int, int], None]
"""`OutgoingMeter.add`"""

log = structlog.get_logger(__name__)

FLUSH_EVERY = 10.0
"""Seconds, so much is lost at most when a process is killed while the catalog answers."""

_MOST = 20_000  # rows of one hour


def uncounted(*_: object) -> None:
    """Fulfils `CountSent` where nobody asks."""


class OutgoingMeter:
    """Any thread may call it.

    Args:
        writer: the name of its segments; no other process may have it.
        most: rows of one hour, beyond which new ones are counted together by owner.
        clock: the wall clock, microseconds.

    Attributes:
        messages, bytes: of this process, by the way they went.
    """

    def __init__(
        self,
        store: LedgerWriter,
        writer: str = "",
        most: int = _MOST,
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._store, self._writer = store, writer or uuid4().hex
        self._most, self._clock = most, clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._hours: dict[Micros, _Hour] = {}
        self._opened = 0
        self.messages: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def add(
        self, way: str, owner: str, unit: str, topic: str, policy: str, messages: int, size: int
    ) -> None:
        """Count messages or records that were sent to a reader.

        Args:
            way: by which they went, such as `api`.
            owner: whose they are.
            unit: who reads them, as the label of a principal.
            topic: the topic or filter that was asked for.
            policy: whose records they are; "" for none.
            size: bytes of the answer.
        """
        at = self._clock()
        begin = at - at % HOUR
        with self._lock:
            hour = self._hours.get(begin)
            if hour is None:
                self._opened += 1
                hour = self._hours[begin] = _Hour(begin, self._opened)
            hour.add(RowKey(owner, unit, topic, policy), messages, size, self._most)
            self.messages[way] += messages
            self.bytes[way] += size

    def flush(self) -> None:
        """Write what was counted since the last flush. It blocks.

        Raises:
            StoreUnavailable: it will be written by the next flush.
        """
        with self._flushing:
            with self._lock:
                changed = [hour for hour in self._hours.values() if hour.changed]
                segments = [hour.segment(self._writer) for hour in changed]
            try:
                if segments and (late := self._store.save_ledger(segments)):
                    what = "what was sent is not counted: hours of so long ago are merged"
                    log.warning(what, hours=late)
            except BaseException:
                with self._lock:
                    for hour in changed:
                        hour.changed = True
                raise
            with self._lock:
                self._let_go()

    def close(self) -> None:
        """Write what is left."""
        try:
            self.flush()
        except StoreUnavailable as error:
            log.warning("what was sent since the last flush is not counted", error=str(error))

    def _let_go(self) -> None:
        current = self._clock() // HOUR * HOUR
        over = [at for at, hour in self._hours.items() if at != current and not hour.changed]
        for at in over:
            del self._hours[at]


class _Hour:
    """Attributes:
    first: tells two times apart at which the same hour was begun, as after a clock was set back.
    changed: whether anything was counted since the last segment was made.
    """

    def __init__(self, begin: Micros, first: int) -> None:
        self.begin, self.first = begin, first
        self.changed = False
        self._rows: dict[RowKey, list[int]] = {}

    def add(self, key: RowKey, messages: int, size: int, most: int) -> None:
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= most:
                key = RowKey(key.owner, NO_UNIT, REST)
            row = self._rows.setdefault(key, [0, 0])
        row[0] += messages
        row[1] += size
        self.changed = True

    def segment(self, writer: str) -> LedgerSegment:
        self.changed = False
        return of_rows(self.begin, Measure.OUT, writer, self.first, self._rows)
