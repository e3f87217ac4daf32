"""How long a source waits after a failure: longer each time, and never as long as its neighbour."""

import random


class Backoff:
    """Doubled each time, less a random part of up to half.

    Args:
        first, most: seconds.
    """

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most = first, most
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def wait(self, asked: float = 0.0) -> float:
        """Seconds until the next attempt.

        Args:
            asked: what the other side asks for, as by `Retry-After`; no longer than the longest.
        """
        delay, self._next = self._next, min(2 * self._next, self._most)
        # several that failed together come again apart
        return max(delay * random.uniform(0.5, 1.0), min(asked, self._most))  # noqa: S311
