"""The newest value of a channel under a policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class LastValue:
    """What `last_value` keeps of one channel. `value` is a number, an int for integers, 1 or 0
    for truth values, text, or JSON as text.

    Attributes:
        time: its event time.
        as_of: the time by which it is older or newer than others: its event time, but none later
            than it was received. So one of a clock that was ahead gives way. None is `time`.
        field: which of several values of a message; "" where it has one.
        around: a JSON object of what surrounded the message; "" if nothing of it is kept.
    """

    owner: str
    policy: str
    topic: str
    type: str
    time: Micros
    value: float | str
    size: int
    partition: int
    offset: int
    id: str = ""
    as_of: Micros | None = None
    field: str = ""
    around: str = ""


class LastValueReader(Protocol):
    def last_values(
        self, owner: str, topic: str | None = None, prefix: str = "", policy: str | None = None
    ) -> list[LastValue]:
        """Values of one topic, or of all with a prefix, in order of topic, policy and field."""
        ...


class LastValueWriter(Protocol):
    def upsert_last(self, values: Sequence[LastValue]) -> None:
        """Write in bulk; a value is replaced by one with a later (as_of, partition, offset)."""
        ...


class LastValueEraser(LastValueReader, Protocol):
    def delete_last(self, values: Sequence[LastValue]) -> int:
        """Delete these values, except those replaced meanwhile; returns how many were deleted."""
        ...


class LastValueStore(LastValueWriter, LastValueEraser, Protocol):
    """Reads, writes and deletes last values."""
