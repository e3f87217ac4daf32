"""Dead letters: messages on which a policy's code failed, and some that were refused at the door.

A letter waits until it is settled: resent, dropped or expired. Then its content is deleted, and the
outcome is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from lakebed.vocabulary.attributes import NO_ATTRIBUTES, Attributes
from lakebed.vocabulary.times import UNSET, Micros

REFUSED = "$refused"
"""In place of the policy, where the message was refused at the door. No policy has such a name."""


INCOMPLETE = "incomplete: "
"""How `error` begins where a refused message is not kept whole."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on which a policy's code failed, stored whole.

    Attributes:
        policy: that one; or `REFUSED`, and then the offset is a random number.
        reason: the error in one line.
        event: the event time that the sender gave, or `UNSET`.
        id: the id that the sender gave, or "".
        error: the error as a traceback.
        aside: when the letter was written.
        attributes: those that were recorded with the message.
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
    attributes: Attributes = NO_ATTRIBUTES


Fate = Literal["resent", "dropped", "expired"]
"""How a dead letter was settled."""


class DeadLetterSink(Protocol):
    """Writes letters and expires them."""

    def add_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Write letters; one that exists, or was settled, is left as it is.

        Policy, partition and offset identify a letter, so a replay may write it again.
        """
        ...

    def expire_dead_letters(self, most: int, before: Micros, consumer: str) -> int:
        """Settle letters older than `before`, and of each owner all but the newest `most`.

        Args:
            consumer: traces of settled letters below its checkpoints are deleted, because no
                replay writes these letters again.

        Returns:
            the number of letters settled.
        """
        ...


class DeadLetterBox(Protocol):
    """Reads letters and settles them."""

    def dead_letters(self, owner: str, limit: int = 100) -> list[DeadLetter]:
        """Waiting letters, the newest first."""
        ...

    def dead_letter_heads(self, owner: str) -> list[DeadLetter]:
        """All waiting letters, the newest first, without payload, id, traceback and attributes."""
        ...

    def dead_letter_sizes(self, owner: str) -> dict[tuple[str, int, int], int]:
        """Bytes of the payload of each waiting letter, by policy, partition and offset."""
        ...

    def dead_letter(
        self, owner: str, policy: str, partition: int, offset: int
    ) -> DeadLetter | None: ...

    def settle_dead_letters(self, letters: Sequence[DeadLetter], fate: Fate) -> int:
        """Settle letters; returns how many of them were still waiting."""
        ...

    def dead_letter_fates(self, owner: str) -> dict[Fate, int]:
        """The number of settled letters by outcome."""
        ...
