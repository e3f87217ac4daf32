"""Messages that broke a policy's code. A letter waits until it is settled; then its content goes
and its fate is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.vocabulary.times import UNSET, Micros


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that broke a policy's code, kept aside whole.

    Attributes:
        reason: the error in one line.
        event: the event time the sender gave, or `UNSET`.
        id: as the sender gave it, or "".
        error: the error as a traceback.
        aside: when it was put aside.
    """

    owner: str
    topic: str
    policy: str
    partition: int
    offset: int
    received: Micros
    payload: bytes
    reason: str
    event: Micros = UNSET
    id: str = ""
    error: str = ""
    aside: Micros = 0


Fate = Literal["resent", "dropped", "expired"]
"""What became of a dead letter that does not wait any more."""


class DeadLetterSink(Protocol):
    """For who puts letters aside."""

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Idempotent by policy and position: a letter that was settled is not put aside again."""
        ...

    def expire_dead_letters(self, most: int, before: Micros, consumer: str) -> int:
        """Settle those put aside earlier than `before`, and of each owner all but the newest
        `most`; returns how many. What `consumer` will never read again needs no trace of its
        letters."""
        ...


class DeadLetterBox(Protocol):
    """For who looks at letters and settles them."""

    def dead_letters(self, owner: str, limit: int = 100) -> list[DeadLetter]:
        """Those that wait, the newest first."""
        ...

    def dead_letter_heads(self, owner: str) -> list[DeadLetter]:
        """All that wait, the newest first, without payload, id and traceback."""
        ...

    def dead_letter(
        self, owner: str, policy: str, partition: int, offset: int
    ) -> DeadLetter | None: ...

    def settle_dead_letters(self, letters: Sequence[DeadLetter], fate: Fate) -> int:
        """Returns how many of these still waited."""
        ...

    def dead_letter_fates(self, owner: str) -> dict[Fate, int]:
        """How many letters ended in each way."""
        ...
