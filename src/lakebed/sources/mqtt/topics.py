"""A cache of resolved topics, shared by connections."""

from typing import Generic, TypeVar

T = TypeVar("T")

BYTES = 2**26
"""Approximate memory of one cache. Beyond it the cache is cleared: topics are resolved again."""

_COST = 200
"""Bytes of memory that a cached topic takes besides its name."""


class Topics(Generic[T]):
    """Targets by topic name, for connections of one principal.

    Attributes:
        known: target by the name's bytes as in a packet, with its length prefix.
    """

    __slots__ = ("__weakref__", "_bytes", "_most", "known")

    def __init__(self, most: int = BYTES) -> None:
        self.known: dict[bytes, T] = {}
        self._bytes = 0
        self._most = most

    def remember(self, name: bytes, target: T) -> None:
        self._bytes += len(name) + _COST
        if self._bytes > self._most:
            self.known.clear()
            self._bytes = len(name) + _COST
        self.known[name] = target
