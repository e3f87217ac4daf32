"""Checkpoints: the state of consumers, by partition."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one part of a consumer in one partition, at an offset.

    Attributes:
        part: the name of the part, such as a policy task's "owner/name@version".
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
    """A partition has one worker at a time, but a worker that slept may not know that it lost it.

    So a worker claims a partition that it takes over, and saves under the term that the claim gave
    it. What an earlier worker saves after that is refused.
    """

    def claim(self, consumer: str, partition: int) -> int:
        """Become the worker that may save; returns the term, greater than all before."""
        ...

    def term(self, consumer: str, partition: int) -> int:
        """The newest term; 0 without a claim."""
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
