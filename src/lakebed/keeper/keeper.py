"""The keeper's loop: one thread that reads the journal and lets policies keep what they ask for.

        ┌──> poll ──> absorb ──> adopt policies ──> flush what is due ──> checkpoint ──┐
        │    (Journal)  (Shard)      (PolicyStore)       (Series, Catalog)      (Catalog) │
        └──────────────────────────────────────────────────────────────────────── commit ┘

It is a plain thread, not a coroutine: its work is numpy and blocking stores, which let go of the
interpreter lock, and so it never holds up the loop that acknowledges messages.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TypeVar

import structlog

from lakebed.keeper.assignment import PartitionAssignment
from lakebed.keeper.erasing import delete_last
from lakebed.keeper.ledger import CONSUMER
from lakebed.keeper.settings import KeeperSettings
from lakebed.keeper.shard import Shard
from lakebed.keeper.stores import Stopped, Stores
from lakebed.ports import Catalog, ErasureOrder, ErasureResult, Health, Journal, Series
from lakebed.system.threads import name_this_thread
from lakebed.vocabulary.errors import StoreUnavailable, Unavailable
from lakebed.vocabulary.messages import Entry
from lakebed.vocabulary.times import LATEST, Micros
from lakebed.vocabulary.times import now as wall_clock

T = TypeVar("T")
log = structlog.get_logger(__name__)

_TICK: Micros = 200_000
"""Flushes happen on this grid, so that policies share inserts. Between two of them nothing that is
read could be written, so what arrives is left to gather: a poll for each."""
_LEAST = 0.05  # seconds that a poll waits at least where nothing is there
_SETTLE: Micros = 100_000  # and `commit_delay`: a message read is in the journal by then
_IN_FORCE = 2.0  # seconds that a change of policies is waited for
_POLICIES_EVERY = 0.5  # seconds between two looks at the policies' revision
_ROOM_EVERY = 2.0  # seconds between two looks at the journal's room
_ORDERS_EVERY = 1.0  # seconds between two looks at requests to delete
_STEP: Micros = 1_000_000  # a clock that shows so much less than before was set back
_ASLEEP = 5.0  # seconds of one turn after which others may have taken over what was ours
_DRAIN = 5.0  # seconds a stopping keeper goes on reading what is still there
_STILL = 60.0  # seconds in which a keeper at work comes to rest


class _Pause:
    """Somebody who asks the keeper to stand still, and says when it may go on."""

    def __init__(self) -> None:
        self.reached, self.over = threading.Event(), threading.Event()


class Keeper:
    """One thread; its methods for other threads come first.

    Args:
        on_failure: called from the keeper's thread when it ends by an error.
        clock: the wall clock, microseconds.
    """

    def __init__(
        self,
        journal: Journal,
        series: Series,
        catalog: Catalog,
        settings: KeeperSettings,
        on_failure: Callable[[BaseException], None],
        clock: Callable[[], Micros] = wall_clock,
    ) -> None:
        self._journal, self._catalog, self._settings = journal, catalog, settings
        self._stop, self._abandon = threading.Event(), threading.Event()
        self._called = threading.Event()  # somebody wants a turn now
        self._stores = Stores(series, catalog, self._abandon)
        self._consumer = journal.consumer(CONSUMER)
        self._clock, self._on_failure = clock, on_failure
        self._settle = _SETTLE + settings.journal.commit_delay
        self._assignment = PartitionAssignment(
            journal, catalog, self._stores, settings, self._consumer, clock, self._look_at_policies
        )
        self._shards = self._assignment.shards
        self._pauses: deque[_Pause] = deque()
        self._latest: Micros = LATEST  # that the clock has shown; at a start nobody knows
        self._adopted = threading.Condition()
        self._in_force = -1  # revision of the policies that all shards follow
        self._policies_asked = 0.0
        self._room_asked = 0.0
        self._orders_asked = 0.0
        self._waiting: list[ErasureOrder] = []  # requests to delete that were not followed yet
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    # --- from other threads ----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def policies_changed(self) -> None:
        """Take them up now; returns when they are in force, or after `_IN_FORCE` seconds."""
        wanted = self._catalog.revision()
        self._look_at_policies()
        self._wake()
        with self._adopted:
            self._adopted.wait_for(lambda: self._in_force >= wanted, _IN_FORCE)

    def erasure_asked(self) -> None:
        """Look for orders now; returns at once."""
        self._orders_asked = 0.0
        self._wake()

    @contextmanager
    def quiesce(self) -> Iterator[None]:
        """Everything read is written and saved, and nothing is written inside: for a backup.

        Raises:
            Unavailable: the keeper is not running, or its stores do not answer.
        """
        pause = _Pause()
        self._pauses.append(pause)
        self._wake()
        try:
            deadline = time.monotonic() + _STILL
            while not pause.reached.wait(0.1):
                if not self._thread.is_alive() or time.monotonic() > deadline:
                    raise Unavailable(self._stores.failing or "the keeper does not come to rest")
            yield
            if self._stop.is_set():  # it may have gone on to write what it still had
                raise Unavailable("the server is stopping")
        finally:
            pause.over.set()

    def stop(self, timeout: float) -> None:
        """Read what is there, write, checkpoint, end; after `timeout` seconds give up the writing.

        What is given up is read again from the journal at the next start.
        """
        self._stop.set()
        self._wake()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._abandon.set()
            self._thread.join(2)

    def lag(self) -> dict[int, int]:
        """About how many messages of each partition of ours are not worked through yet."""
        return {
            partition: self._journal.distance(partition, shard.offset, end)
            for partition, (_, end) in self._journal.extent().items()
            if (shard := self._shards.get(partition)) is not None
        }

    def health(self) -> Health:
        alive = self._thread.is_alive()
        message = self._stores.failing or ("" if alive else "not running")
        behind = {str(partition): count for partition, count in self.lag().items()}
        detail = {"behind": behind, "rows_written": self._stores.rows}
        return Health(alive and not self._stores.failing, message, detail)

    def _look_at_policies(self) -> None:
        self._policies_asked = 0.0

    def _wake(self) -> None:
        self._called.set()
        self._consumer.wake()

    # --- the loop --------------------------------------------------------------------------------

    def _run(self) -> None:
        name_this_thread("keeper")
        try:
            self._consumer.subscribe(self._assignment)
            while not self._stop.is_set():
                self._turn()
            self._finish()
        except Stopped:
            log.warning("stopped while a store did not answer; the journal has what is missing")
        except BaseException as error:
            log.exception("keeper failed")
            self._on_failure(error)
        finally:
            self._consumer.close()

    def _turn(self) -> None:
        began = time.monotonic()
        before = self._clock()
        self._assignment.settle_contests()
        orders = self._orders()
        entries, answered = self._poll(self._patience(before))
        if answered and not entries:
            for shard in self._shards.values():
                shard.nothing_ahead()
        read = sum(len(entry.batch) for entry in entries)
        everything = read < self._settings.keeper.read // 2
        self._adopt(before)
        self._absorb(entries)
        if time.monotonic() - began > _ASLEEP:
            self._assignment.check(list(self._shards))
        # "now" for windows and buffers: while behind, the journal's time, not the wall's; but
        # nothing was received later than now, whatever a clock that was set back had shown
        now = self._clock() - self._settle
        now = now if everything else min(now, _newest(entries))
        self._write(now, self._set_back(before, entries))
        self._erase(orders, now, nothing_more=answered and not entries)
        if self._pauses:
            self._rest()
        if read and everything:
            self._gather()

    def _gather(self) -> None:
        """Let messages come until the next flush, or until somebody calls."""
        left = _TICK - (self._clock() - self._settle) % _TICK
        self._called.wait(left / 1e6)
        self._called.clear()

    def _poll(self, patience: float) -> tuple[list[Entry], bool]:
        """What came, and whether the journal answers: if not, no messages does not mean no more."""
        try:
            return self._consumer.poll(patience, self._settings.keeper.read), True
        except StoreUnavailable as error:
            log.warning("the journal does not answer, trying again", error=str(error))
            self._stop.wait(_POLICIES_EVERY)
            return [], False

    def _patience(self, now: Micros) -> float:
        """Seconds to wait for messages: until something is due or policies are looked at."""
        due = min((d for s in self._shards.values() if (d := s.due()) is not None), default=None)
        if due is None:
            return _POLICIES_EVERY
        flush = -(-due // _TICK) * _TICK + self._settle  # the first that writes it
        return min(max((flush - now) / 1e6, _LEAST), _POLICIES_EVERY)

    def _absorb(self, entries: Sequence[Entry]) -> None:
        for partition, group in groupby(entries, key=lambda entry: entry.partition):
            shard = self._shards.get(partition)
            if shard is not None and shard.begun:
                shard.absorb(list(group))

    def _adopt(self, now: Micros) -> None:
        at = time.monotonic()
        if at - self._policies_asked < _POLICIES_EVERY:
            return
        self._policies_asked = at  # before the look: a change meanwhile asks for another
        revision = self._stores.retry_until_available(self._catalog.revision)
        stale = [p for p, s in self._shards.items() if s.revision != revision and s.replayed]
        if stale:
            policies = self._stores.retry_until_available(self._catalog.policies)
            adopt = partial(Shard.adopt, revision=revision, stored=policies, now=now)
            for partition in stale:
                self._assignment.working(partition, adopt)
        with self._adopted:
            self._in_force = min((s.revision for s in self._shards.values()), default=revision)
            self._adopted.notify_all()

    def _orders(self) -> list[ErasureOrder]:
        """What our partitions are to let go of."""
        at = time.monotonic()
        if at - self._orders_asked >= _ORDERS_EVERY:
            self._orders_asked = at
            self._waiting = self._stores.retry_until_available(self._catalog.erasure_orders)
        return [order for order in self._waiting if order.partition in self._shards]

    def _erase(self, orders: Sequence[ErasureOrder], now: Micros, nothing_more: bool) -> None:
        """Follow what was there before the last poll, once all is read that was sent before."""
        for order in orders:
            if not self._has_read(order.partition, order.until, nothing_more):
                continue
            self._waiting.remove(order)
            erase = partial(Shard.erase, wanted=order.wanted, now=now)
            place = self._assignment.working(order.partition, erase)
            if place is not None:  # else another keeper has taken over, and follows it
                self._note(order, place)

    def _note(self, order: ErasureOrder, place: int) -> None:
        """Last values go now: before others are written, which older ones would shut out."""
        places = {order.partition: place}
        last = self._stores.retry_until_available(
            lambda: delete_last(self._catalog, order.wanted, places)
        )
        self._stores.retry_until_available(
            lambda: self._catalog.note_erased(order, ErasureResult(place, last))
        )

    def _has_read(self, partition: int, end: int, nothing_more: bool) -> bool:
        shard = self._shards.get(partition)
        # behind the last message a partition may have a gap, which no message ever passes
        return shard is not None and shard.replayed and (nothing_more or shard.offset >= end)

    def _make_room(self, now: Micros) -> None:
        """Write early what waits for the end of a long buffer, before the journal is full of it.

        The journal keeps everything behind the oldest message that is not written yet: one policy
        with a buffer of hours and a message a day would hold all the others' messages too, and
        in the end hold back all sources, or let a retention delete what is not written.
        """
        at = time.monotonic()
        if at - self._room_asked < _ROOM_EVERY:
            return
        self._room_asked = at
        pressure = self._journal.pressure()
        if pressure is None or pressure.full < 0.5:
            return
        for partition, (first, end) in self._journal.extent().items():
            # a journal near its limit by the span it is asked to keep is left half its reach
            below = end if pressure.full >= 0.9 else (first + end) // 2
            self._assignment.working(partition, partial(Shard.let_go, below=below, now=now))

    def _set_back(self, now: Micros, entries: Sequence[Entry]) -> bool:
        """Whether the clock shows less than it did: what is due by it may be due in hours.

        What waits is written then, and waits anew by the clock as it is.
        """
        set_back = now < self._latest - _STEP
        received = [entry.batch.received for entry in entries if len(entry.batch)]
        newest = max((int(times.max()) for times in received), default=now)
        self._latest = now if set_back else max(now, newest, self._latest)
        return set_back

    def _write(self, now: Micros, set_back: bool) -> None:
        self._make_room(now)
        on_grid = now // _TICK * _TICK

        def write(shard: Shard) -> int:
            shard.flush(on_grid, final=set_back)
            return shard.checkpoint(now)

        self._assignment.commit(write)

    def _rest(self) -> None:
        """Write and save all that waits, then do nothing for as long as somebody asks for it."""
        self._assignment.commit_everything()
        while self._pauses:
            pause = self._pauses.popleft()
            pause.reached.set()
            while not pause.over.wait(0.1) and not self._stop.is_set():
                pass

    def _finish(self) -> None:
        """Read what was acknowledged before the stop, then write all that waits."""
        deadline = time.monotonic() + _DRAIN
        while time.monotonic() < deadline:
            entries, _ = self._poll(0)
            if not entries:
                break
            self._absorb(entries)
        for partition in list(self._shards):
            self._assignment.revoked(partition)


def _newest(entries: Sequence[Entry]) -> Micros:
    return max(int(entry.batch.received[-1]) for entry in entries if len(entry.batch))
