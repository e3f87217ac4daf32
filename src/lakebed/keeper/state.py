"""The state of one partition: what a keeper saves of it, and takes up again.

    part of a checkpoint     holds
    router                   the ledger, and the offset up to which it has counted
    once, once:NUMBER        the keys that were seen (`consuming/deduplication.py`)
    OWNER/NAME@VERSION       the task of a policy

The shard, rebuilding, splitting and migration all decode and encode it here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from lakebed.consuming import deduplication
from lakebed.consuming.deduplication import Deduplicator
from lakebed.keeper import ledger as ledgers
from lakebed.keeper.ledger import Ledger
from lakebed.ports.catalog.checkpoints import Checkpoint
from lakebed.vocabulary.times import Micros


@dataclass(slots=True)
class SavedParts:
    """The parts of one partition's checkpoint, told apart by their names."""

    ledger: Checkpoint | None = None
    deduplicator: dict[str, Checkpoint] = field(default_factory=dict)
    tasks: dict[str, Checkpoint] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Iterable[Checkpoint]) -> "SavedParts":
        found = cls()
        for part in parts:
            if part.part == ledgers.PART:
                found.ledger = part
            elif deduplication.is_part(part.part):
                found.deduplicator[part.part] = part
            else:
                found.tasks[part.part] = part
        return found

    @property
    def counted(self) -> int:
        """The ledger has counted everything below."""
        return 0 if self.ledger is None else self.ledger.offset


@dataclass(slots=True)
class PartitionState:
    """Attributes:
    ledger, deduplicator: as they were at `counted`.
    counted: everything below this offset is counted, and judged by the deduplicator.
    tasks: of policies, as saved, each at an offset of its own that is not greater.
    begun: whether anything was ever saved of the partition.
    """

    ledger: Ledger
    deduplicator: Deduplicator
    counted: int = 0
    tasks: dict[str, Checkpoint] = field(default_factory=dict)
    begun: bool = False

    @classmethod
    def decode(cls, parts: Iterable[Checkpoint], horizon: Micros) -> "PartitionState":
        """Args:
        parts: of one partition; none of a new one.
        horizon: how long a key is remembered, microseconds.
        """
        saved = SavedParts.of(parts)
        ledger = Ledger() if saved.ledger is None else Ledger.from_bytes(saved.ledger.state)
        deduplicator = Deduplicator(horizon)
        deduplicator.restore(saved.deduplicator, saved.counted)
        begun = saved.ledger is not None
        return cls(ledger, deduplicator, saved.counted, saved.tasks, begun)

    def encode(
        self, tasks: Sequence[Checkpoint], floor: int = 0, remembered: int | None = None
    ) -> tuple[list[Checkpoint], list[str]]:
        """The parts to save, and the names of those to drop.

        Args:
            tasks: those that are to be saved; the others stay as they are in the catalog.
            floor, remembered: see `Deduplicator.parts`.
        """
        keys, outlived = self.deduplicator.parts(floor, remembered)
        keys = [replace(part, offset=self.counted) for part in keys]
        return [*tasks, *keys, ledgers.to_checkpoint(self.ledger, self.counted)], outlived
