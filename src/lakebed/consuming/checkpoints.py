"""The checkpoints of one consumer in one partition, saved under a claim.

    claim ──> load ──> save, save, …          another claims ──> Superseded: nothing is saved

A suspended worker does not know that it has lost its partition, and the journal may report it too
late. So the catalog decides: each claim gives a higher term, and a save under an older term is
refused in the same transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

from lakebed.consuming.retry import Retry
from lakebed.ports.catalog.checkpoints import Checkpoint, TransactionalCheckpoints

_NOTHING: Mapping[str, Sequence[Checkpoint]] = MappingProxyType({})


class PartitionCheckpoints:
    """Calls wait until the store answers.

    Args:
        consumer: the name under which they are saved.
    """

    def __init__(
        self, store: TransactionalCheckpoints, retry: Retry, consumer: str, partition: int
    ) -> None:
        self._store, self._retry = store, retry
        self._consumer, self._partition = consumer, partition
        self._term = 0

    def claim(self) -> None:
        """Become the worker that may save. Called before `load`: no other can save after it."""
        claim = partial(self._store.claim, self._consumer, self._partition)
        self._term = self._retry.until_available(claim)

    def is_ours(self) -> bool:
        """Whether no other worker has claimed the partition since."""
        term = partial(self._store.term, self._consumer, self._partition)
        return self._retry.until_available(term) == self._term

    def load(self, beside: str = "") -> list[Checkpoint]:
        """All parts as they were last saved.

        Args:
            beside: the name of those that were saved beside the consumer's own.
        """
        consumer = beside or self._consumer
        load = partial(self._store.checkpoints, consumer, self._partition)
        return self._retry.until_available(load).get(self._partition, [])

    def save(
        self,
        parts: Sequence[Checkpoint],
        drop: Sequence[str] = (),
        beside: Mapping[str, Sequence[Checkpoint]] = _NOTHING,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        """Write some parts and remove others; those that are not named stay as they are.

        Args:
            beside: further parts, under names other than the consumer's, in the same transaction.
            also: writes to the same store in that transaction; it is called again where the store
                did not answer.

        Raises:
            Superseded: another has claimed the partition; nothing was written.
        """

        def save() -> None:
            with self._store.transaction():
                self._store.save_checkpoints(
                    self._consumer, self._partition, parts, drop, self._term
                )
                for name, others in beside.items():
                    if others:
                        self._store.save_checkpoints(name, self._partition, others)
                also()

        self._retry.until_available(save)
