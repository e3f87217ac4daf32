"""Threads that deliver: a bounded number for all relays of a process.

    schedule(task, at) ──> heap by time ──> threads ──run──> when to run again
                                   └─ tasks of suspect targets: at most half of the threads

A target that hangs keeps its thread until its time-out. Tasks of targets that failed or are slow
are suspect: they take half of the threads at most. Where others hang whose targets were not suspect
yet, further threads stand in for those that wait, so the rest always goes on.
"""

import heapq
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

import structlog

from lakebed.system.threads import name_this_thread

log = structlog.get_logger(__name__)

_LONGEST_WAIT = 5.0  # seconds
_AGAIN = 1.0  # seconds until a task is run again that broke
_HANGS = 1.0  # seconds after which a task that runs is not counted as work
_MOST = 4  # threads for each that is asked for, at most


class Task(Protocol):
    """Run by one thread at a time."""

    @property
    def suspect(self) -> bool:
        """Whether it may take long, for nothing."""
        ...

    def run(self) -> float | None:
        """Work; returns seconds after which to run again, None until it is scheduled."""
        ...


class Pool:
    """Any thread.

    Args:
        threads: at least 2.
    """

    def __init__(self, threads: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._wanted, self._most_suspects = threads, max(1, threads // 2)
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Task]] = []
        self._due: dict[Task, float] = {}
        self._running: dict[Task, tuple[bool, float]] = {}  # whether it is suspect; since when
        self._deferred: list[Task] = []
        self._numbers = count()
        self._stopping = False
        self._threads: set[threading.Thread] = set()

    def start(self) -> None:
        self.tend()

    def tend(self) -> None:
        """Let threads stand in for those whose tasks hang. Every second, say."""
        with self._changed:
            if self._stopping:
                return
            since = self._monotonic() - _HANGS
            hanging = sum(began < since for _, began in self._running.values())
            wanted = min(self._wanted + hanging, _MOST * self._wanted)
            while len(self._threads) < wanted:
                thread = threading.Thread(target=self._work, name="relays", daemon=True)
                self._threads.add(thread)
                thread.start()

    def schedule(self, task: Task, seconds: float = 0.0) -> None:
        """Run a task after so many seconds, or sooner if it is to run sooner already."""
        with self._changed:
            self._schedule(task, self._monotonic() + seconds)

    def stop(self, timeout: float) -> bool:
        """Start nothing more; wait for what runs. Returns whether all of it has ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        deadline = self._monotonic() + timeout
        threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - self._monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _schedule(self, task: Task, at: float) -> None:
        before = self._due.get(task)
        if before is None or at < before:
            self._due[task] = at
            if task not in self._running:
                heapq.heappush(self._heap, (at, next(self._numbers), task))
                self._changed.notify()

    def _work(self) -> None:
        name_this_thread("relays")
        while (task := self._next()) is not None:
            again: float | None
            try:
                again = task.run()
            except Exception:
                log.exception("a relay's task failed and is run again")
                again = _AGAIN
            self._done(task, again)
        with self._changed:
            self._threads.discard(threading.current_thread())

    def _next(self) -> Task | None:
        """The next task; None to end the thread."""
        with self._changed:
            while not self._stopping:
                if len(self._threads) - len(self._running) > self._wanted:
                    return None  # what hung has ended
                task, wait = self._pop(self._monotonic())
                if task is not None:
                    return task
                self._changed.wait(wait)
            return None

    def _pop(self, now: float) -> tuple[Task | None, float]:
        while self._heap:
            at, _, task = self._heap[0]
            if self._due.get(task) != at or task in self._running:
                heapq.heappop(self._heap)
                continue
            if at > now:
                return None, min(at - now, _LONGEST_WAIT)
            heapq.heappop(self._heap)
            suspect = task.suspect
            suspects = sum(one for one, _ in self._running.values())
            if suspect and suspects >= self._most_suspects:
                self._deferred.append(task)
                continue
            del self._due[task]
            self._running[task] = suspect, now
            return task, 0.0
        return None, _LONGEST_WAIT

    def _done(self, task: Task, again: float | None) -> None:
        with self._changed:
            now = self._monotonic()
            was_suspect, _ = self._running.pop(task)
            at = self._due.pop(task, None)  # scheduled meanwhile
            if again is not None:
                at = now + again if at is None else min(at, now + again)
            if at is not None:
                self._schedule(task, at)
            if was_suspect and self._deferred:
                for waiting in self._deferred:
                    if waiting in self._due and waiting not in self._running:
                        due = self._due[waiting]
                        heapq.heappush(self._heap, (due, next(self._numbers), waiting))
                self._deferred.clear()
                self._changed.notify_all()
