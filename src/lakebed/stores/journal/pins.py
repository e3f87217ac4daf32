"""Offsets from which on the log is needed by other than consumers, such as a snapshot."""

import threading
from collections.abc import Callable


class RetentionPins:
    """Any thread. The same offset may be held several times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offsets: list[int] = []

    def pin(self, offset: int) -> Callable[[], None]:
        """Hold what lies at or above `offset`; returns the call that removes the pin."""
        with self._lock:
            self._offsets.append(offset)

        def release() -> None:
            with self._lock:
                self._offsets.remove(offset)

        return release

    def offsets(self) -> list[int]:
        with self._lock:
            return list(self._offsets)
