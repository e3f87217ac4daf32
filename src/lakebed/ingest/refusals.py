"""Tells of what is refused at the door: nobody else would notice.

    doors ──note──┬── a line of the log, few of a kind in a minute
                  ├── metrics, health
                  └── every few seconds ──> catalog: counts by kind, dead letters

A client decides how often it is refused. So memory, lines and rows are bounded: beyond that only
counts grow. Dead letters are those messages whose sender is not told of the refusal, or cannot
understand it.
"""

import asyncio
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from lakebed.ports.catalog.dead_letters import INCOMPLETE, REFUSED, DeadLetter, DeadLetterSink
from lakebed.ports.catalog.refusals import Refusal, RefusalStore
from lakebed.ports.health import Health
from lakebed.ports.metrics import CounterMetric, Sample
from lakebed.vocabulary.errors import LakebedError
from lakebed.vocabulary.times import DAY, Micros, now

REFUSALS = CounterMetric(
    "lakebed_refusals_total", "Messages and connections refused at a door.", ("door", "reason")
)

log = structlog.get_logger(__name__)

EVERY = 60.0
"""Seconds in which one line about a kind is logged."""

_LINES = 60  # in so many seconds, about all kinds together
_KINDS = 1_000  # remembered between two writes, and for the log; others are counted together
_LETTERS = 1_000  # dead letters of an owner in a minute, and that wait to be written,
_LETTER_BYTES = 16 * 2**20  # and their bytes
_LONGEST = 300  # characters of a client's name and of a topic, here
_FLUSH = 2.0  # seconds
_EXPIRE = 3600.0  # seconds
_KEPT = 1_000  # kinds of an owner in the catalog,
_KEPT_FOR = 7 * DAY
_HOUR = 60  # minutes that health looks back

Kind = tuple[str, str, str, str, str]


class Store(RefusalStore, DeadLetterSink, Protocol):
    """Where both are written."""


class Refusals:
    """Thread-safe.

    Args:
        clock: seconds, monotonic.

    Attributes:
        total: by door and reason, since the start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.total: Counter[tuple[str, str]] = Counter()
        self.letters_left_out = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Kind, Refusal] = {}
        self._letters: list[DeadLetter] = []
        self._letter_bytes = 0
        self._of_owner: Counter[str] = Counter()  # letters in this window
        self._told: dict[Kind, tuple[float, int]] = {}  # when, and refusals since
        self._window, self._lines = float("-inf"), 0
        self._minutes: deque[tuple[int, Counter[str]]] = deque(maxlen=_HOUR)

    def note(self, refusal: Refusal, payload: bytes | None = None, size: int = 0) -> None:
        """Take note of one refusal.

        Args:
            payload: the message, or its beginning, if it is to be kept as a dead letter.
            size: bytes of the whole payload.
        """
        at = now()
        one = replace(
            refusal, client=_short(refusal.client), topic=_short(refusal.topic),
            text=refusal.text[:1000], first=at, last=at,
        )  # fmt: skip
        with self._lock:
            moment = self._clock()
            self._turn(moment)
            self.total[one.door, one.reason] += one.count
            self._minutes[-1][1][one.reason] += one.count
            self._gather(one)
            line = self._line(one, moment)
            if payload is not None and one.owner:
                self._put_aside(refusal, payload, size, at)
        if line is not None:
            log.warning(
                "refused", door=one.door, client=one.client, address=one.address, topic=one.topic,
                owner=one.owner, reason=one.reason, text=one.text, times=line,
            )  # fmt: skip

    def health(self) -> Health:
        """Ready always: what is refused is the fault of who sends it. Names no topic."""
        with self._lock:
            self._turn(self._clock())
            found: Counter[str] = Counter()
            for _, counts in self._minutes:
                found.update(counts)
        if not found:
            return Health(True, "", {"last_hour": 0})
        reasons = ", ".join(f"{count} {reason}" for reason, count in found.most_common(5))
        return Health(True, f"refused in the last hour: {reasons}", {"last_hour": found.total()})

    def metrics(self) -> Iterator[Sample]:
        with self._lock:
            found = sorted(self.total.items())
        for (door, reason), count in found:
            yield REFUSALS(count, door, reason)

    def flush(self, store: Store) -> None:
        """Write what waits; what cannot be written waits on, as far as there is room. Blocks."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            letters, self._letters, self._letter_bytes = self._letters, [], 0
        try:
            store.add_refusals(list(waiting.values()))
            waiting = {}
            store.add_dead_letters(letters)
        except LakebedError:
            with self._lock:
                for one in waiting.values():
                    self._gather(one)
                for letter in letters:
                    self._keep(letter)
            raise

    # --- with the lock held -----------------------------------------------------------------------

    def _turn(self, moment: float) -> None:
        """Begin another minute."""
        minute = int(moment // 60)
        if not self._minutes or self._minutes[-1][0] != minute:
            self._minutes.append((minute, Counter()))
        while self._minutes[0][0] <= minute - _HOUR:
            self._minutes.popleft()
        if moment >= self._window + EVERY:
            self._window, self._lines = moment, 0
            self._of_owner.clear()

    def _gather(self, one: Refusal) -> None:
        kind = _kind(one)
        if kind not in self._waiting and len(self._waiting) >= _KINDS:
            one = replace(one, client="", topic="")
            kind = _kind(one)
        known = self._waiting.get(kind)
        if known is not None:
            one = replace(one, count=known.count + one.count, first=known.first)
        self._waiting[kind] = one

    def _line(self, one: Refusal, moment: float) -> int | None:
        """How many refusals a line of the log is about; None: no line now."""
        kind = _kind(one)
        told, since = self._told.get(kind, (float("-inf"), 0))
        if moment < told + EVERY or self._lines >= _LINES:
            self._told[kind] = told, since + 1
            line = None
        else:
            self._lines += 1
            self._told.pop(kind, None)
            self._told[kind] = moment, 0
            line = since + 1
        while len(self._told) > _KINDS:
            del self._told[next(iter(self._told))]
        return line

    def _put_aside(self, refusal: Refusal, payload: bytes, size: int, at: Micros) -> None:
        if self._of_owner[refusal.owner] >= _LETTERS:
            self.letters_left_out += 1
            return
        self._of_owner[refusal.owner] += 1
        reason = f"{refusal.reason}: {refusal.text}"
        whole = f"from {refusal.client or '?'} at {refusal.address or '?'}: {reason}"
        if size > len(payload):
            reason += f" (of the payload only the first {len(payload)} bytes are kept)"
            whole = f"{INCOMPLETE}{whole}"
        # one of many gateways, without a position in the journal
        number = random.getrandbits(62)
        self._keep(
            DeadLetter(
                refusal.owner, refusal.topic.replace("\0", ""), REFUSED, 0, number, at, payload,
                reason, error=whole,
                aside=at,
            )
        )  # fmt: skip

    def _keep(self, letter: DeadLetter) -> None:
        bytes_then = self._letter_bytes + len(letter.payload)
        if len(self._letters) >= _LETTERS or bytes_then > _LETTER_BYTES:
            self.letters_left_out += 1
            return
        self._letters.append(letter)
        self._letter_bytes = bytes_then


def _kind(one: Refusal) -> Kind:
    return one.owner, one.door, one.client, one.topic, one.reason


def _short(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST]


async def keep(refusals: Refusals, store: Store) -> None:
    """Write what waits every few seconds, and delete what is old, until cancelled."""
    looked = float("-inf")
    try:
        while True:
            await asyncio.sleep(_FLUSH)
            with suppress(LakebedError):
                await asyncio.to_thread(refusals.flush, store)
            if time.monotonic() >= looked + _EXPIRE:
                looked = time.monotonic()
                with suppress(LakebedError):
                    await asyncio.to_thread(store.expire_refusals, _KEPT, now() - _KEPT_FOR)
    finally:
        with suppress(LakebedError):
            refusals.flush(store)
