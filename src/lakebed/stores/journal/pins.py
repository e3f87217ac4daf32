"""Retention pins: offsets from which on a snapshot or a rebuild needs the log."""

import threading
from collections.abc import Callable


class RetentionPins:
    """The current pins. Any thread. An offset may be pinned several times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offsets: list[int] = []

    def pin(self, offset: int) -> Callable[[], None]:
        """Keep messages at or behind `offset`; return a function that removes the pin."""
        with self._lock:
            self._offsets.append(offset)

        def release() -> None:
            with self._lock:
                self._offsets.remove(offset)

        return release

    def offsets(self) -> list[int]:
        with self._lock:
            return list(self._offsets)
