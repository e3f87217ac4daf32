"""Divides what one query asks for."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_SLICE = 400  # values in one IN (…); older SQLite takes no more than 999 parameters


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _SLICE):
        yield values[start : start + _SLICE]
