"""Checkpoints: what a consumer must remember of a partition."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where one part of a consumer stands in a partition, and what it must remember.

    Attributes:
        part: the name of the part ("router", or a policy as "owner/name@version").
        offset: everything below it is in `state` or in the stores.
        state: opaque bytes of that part.
    """

    part: str
    offset: int
    state: bytes


class CheckpointReader(Protocol):
    def checkpoints(
        self, consumer: str, partition: int | None = None, part: str | None = None
    ) -> dict[int, list[Checkpoint]]:
        """Of one partition, or of all; all parts, or those of one name."""
        ...


class CheckpointStore(CheckpointReader, Protocol):
    """A partition has one worker at a time, but one that slept may not know that it has none.

    So who takes a partition over claims it, and saves under the term that the claim gave it: what
    an earlier worker saves after that is refused.
    """

    def claim(self, consumer: str, partition: int) -> int:
        """Become the one who saves; returns the term, greater than all before."""
        ...

    def term(self, consumer: str, partition: int) -> int:
        """The newest term; 0 where nobody ever claimed."""
        ...

    def save_checkpoints(
        self,
        consumer: str,
        partition: int,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        term: int | None = None,
    ) -> None:
        """Write some parts and remove others, in one durable transaction.

        Raises:
            Superseded: the partition was claimed after `term`; nothing was written.
        """
        ...


class TransactionalCheckpoints(CheckpointStore, Protocol):
    def transaction(self) -> AbstractContextManager[None]:
        """Calls made by this thread inside it commit together or not at all."""
        ...
