"""Failed attempts to prove who one is, counted so that guessing is slow."""

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
        forget: a key that has not tried for so long begins anew.
    """

    free: int
    longest: Micros
    forget: Micros


class AttemptStore(Protocol):
    """Calls block, are thread-safe, and are one transaction each."""

    def begin_attempt(self, keys: Sequence[tuple[str, Pace]]) -> Micros:
        """Count an attempt for each key, before it is known how it ends.

        So many that come at once, in any processes, are counted as well.

        Returns:
            How long to wait; then none is counted. 0 where it may be tried.
        """
        ...

    def undo_attempt(self, keys: Sequence[str]) -> None:
        """Take back what `begin_attempt` has counted: it did not fail."""
        ...

    def forget_attempts(self, keys: Sequence[str]) -> None:
        """Begin anew with these keys."""
        ...
