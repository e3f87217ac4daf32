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
        """Checkpoints by partition: of one partition or of all, of one part or of all."""
        ...

    def highest_offset(self, partition: int) -> int:
        """The highest offset of all consumers' checkpoints in a partition; 0 if there are none."""
        ...


class CheckpointStore(CheckpointReader, Protocol):
    """Stores checkpoints, and refuses those of a worker that has lost its partition.

    A partition has one worker at a time, but a worker that was suspended may not know that another
    has taken over. So a worker claims a partition that it takes over, and saves under the term that
    the claim returned. Later saves under an earlier term are refused.
    """

    def claim(self, consumer: str, partition: int) -> int:
        """Become the worker that may save; returns a term greater than all earlier ones."""
        ...

    def term(self, consumer: str, partition: int) -> int:
        """The newest term; 0 if the partition was never claimed."""
        ...

    def claimed(self, consumer: str) -> list[int]:
        """The partitions that were ever claimed, with checkpoints or without."""
        ...

    def save_checkpoints(
        self,
        consumer: str,
        partition: int,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        term: int | None = None,
    ) -> None:
        """Write `parts` and remove those named in `drop`, in one durable transaction.

        Raises:
            Superseded: the partition was claimed after `term`; nothing was written.
        """
        ...


class TransactionalCheckpoints(CheckpointStore, Protocol):
    def transaction(self) -> AbstractContextManager[None]:
        """Calls made by this thread inside it commit together or not at all."""
        ...
