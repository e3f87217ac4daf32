"""The consumer of a journal in this process: it always has the only partition."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from lakebed.ports.journal.consuming import RebalanceListener
from lakebed.vocabulary.messages import Entry


class Tailed(Protocol):
    """The journal, as far as its consumer needs it.

    Attributes:
        changed: notified, under its lock, whenever `end` has grown.
        end: the offset behind the last durable message.
    """

    changed: threading.Condition
    end: int

    def read(self, offset: int, limit: int) -> tuple[list[Entry], int]:
        """Read entries from `offset` on; return them with the next offset."""
        ...

    def committed(self, name: str) -> int | None: ...

    def commit(self, name: str, offset: int) -> None: ...


class TailConsumer:
    """See the port `Consumer`.

    Args:
        closed: called once with the consumer's name when it is closed.
    """

    def __init__(self, journal: Tailed, name: str, closed: Callable[[str], None]) -> None:
        self._journal = journal
        self._name = name
        self._closed: Callable[[str], None] | None = closed
        self._owner: RebalanceListener | None = None
        self._position: int | None = None
        self._woken = False

    def subscribe(self, owner: RebalanceListener) -> None:
        self._owner = owner
        self._position = None

    def poll(self, timeout: float, limit: int) -> list[Entry]:
        position = self._assigned() if self._position is None else self._position
        deadline = time.monotonic() + timeout
        while True:
            found, self._position = self._journal.read(position, limit)
            if found:
                return found
            position = self._position
            if not self._wait(position, deadline):
                return []

    def commit(self, offsets: Mapping[int, int]) -> None:
        for offset in offsets.values():
            self._journal.commit(self._name, offset)

    def wake(self) -> None:
        with self._journal.changed:
            self._woken = True
            self._journal.changed.notify_all()

    def close(self) -> None:
        """Close without calling `revoked`: no other worker can get the partition."""
        closed, self._closed = self._closed, None
        if closed is not None:
            self.wake()
            closed(self._name)

    def _assigned(self) -> int:
        wanted = None
        if self._owner is not None:
            wanted = self._owner.assigned(0, self._journal.end)
        if wanted is None:
            wanted = self._journal.committed(self._name)
        return wanted or 0

    def _wait(self, position: int, deadline: float) -> bool:
        """Wait for messages behind `position`; False at the deadline or when woken."""
        changed = self._journal.changed
        with changed:
            while self._journal.end <= position:
                left = deadline - time.monotonic()
                if self._woken or self._closed is None or left <= 0:
                    self._woken = False
                    return False
                changed.wait(left)
        return True
