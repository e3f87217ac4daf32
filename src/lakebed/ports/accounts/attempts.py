"""Counts failed attempts to authenticate, so that guessing is slow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one key may try.

    Attributes:
        free: attempts that are not slowed.
        longest: the longest wait; it doubles from a second with each attempt beyond the free ones.
        forget: after this time without an attempt, the count of a key begins at 0 again.
    """

    free: int
    longest: Micros
    forget: Micros


class AttemptStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def begin_attempt(self, keys: Sequence[tuple[str, Pace]]) -> Micros:
        """Count an attempt for each key, before its result is known.

        Parallel attempts, in any processes, are all counted.

        Returns:
            how long to wait; then nothing was counted. 0 if the attempt is allowed.
        """
        ...

    def undo_attempt(self, keys: Sequence[str]) -> None:
        """Undo the count of `begin_attempt`, because the attempt succeeded."""
        ...

    def forget_attempts(self, keys: Sequence[str]) -> None:
        """Set the counts of these keys to 0."""
        ...
