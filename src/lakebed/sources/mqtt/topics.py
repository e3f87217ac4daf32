"""What topics mean to those who publish to them, found out once."""

from typing import Generic, TypeVar

T = TypeVar("T")

BYTES = 2**26
"""Memory that topics may take, about; beyond, they are found out anew."""

_COST = 200
"""Bytes of memory that a remembered topic takes besides its name."""


class Topics(Generic[T]):
    """Targets by name; shared by connections for which each name means the same.

    Attributes:
        known: target by the name's bytes as they stand in a packet, length and all.
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
