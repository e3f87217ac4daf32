"""File descriptors: connections are refused before the process has none left for its stores.

    0 ──────────────────── mqtt refuses ──── http refuses ──── limit
      stores, connections │   /readyz still answers  │   stores

POSIX gives a new descriptor the lowest free number, so the number of a new connection shows how
many are in use. Without a reserve the event loop accepts a connection and resets it at once,
without an error, and the stores cannot open files.
"""

import resource
import time
from collections.abc import Callable
from math import inf

import structlog

log = structlog.get_logger(__name__)

_RESERVE = 128
_LOG_EVERY = 10.0  # seconds


def limit() -> int:
    """How many descriptors this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 - 1 if soft == resource.RLIM_INFINITY else soft


def reserved(most: int) -> int:
    """The number of descriptors, out of `most`, that are reserved for stores, HTTP and brokers."""
    return min(_RESERVE, most // 4)


def too_few(most: int, connections: int) -> str:
    """A sentence if `most` descriptors are too few for so many connections; else empty."""
    room = most - reserved(most)
    if room >= connections:
        return ""
    return (
        f"this process may open {most} files: enough for {room} connections, and"
        f" mqtt.max_connections is {connections}"
    )


class Descriptors:
    """Decides whether a new connection is kept. Event loop only.

    Attributes:
        most: descriptors that the process may have open.
        refused: connections that were refused for want of descriptors.
    """

    def __init__(self, most: int | None = None, clock: Callable[[], float] = time.monotonic):
        self.most = limit() if most is None else most
        self.refused = 0
        self._clock = clock
        self._log_at = -inf
        self._reserve = reserved(self.most)

    def refuses(self, descriptor: int, door: str, reserve: float = 1.0) -> bool:
        """Whether a new connection must be closed; it is counted, and logged now and then.

        Args:
            descriptor: of the connection.
            reserve: the share of the reserve that this door leaves free for others.
        """
        if descriptor < self.most - self._reserve * reserve:
            return False
        self.refused += 1
        if self._clock() >= self._log_at:
            self._log_at = self._clock() + _LOG_EVERY
            log.warning(
                "connections are refused: too few files may be open",
                door=door, refused=self.refused, limit=self.most,
                do="raise the limit of open files (ulimit -n, LimitNOFILE=)",
            )  # fmt: skip
        return True
