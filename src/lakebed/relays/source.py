"""What a relay reads in one partition: messages of the journal, or what a policy gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakebed.ports.relays import Record
from lakebed.vocabulary.times import Micros


@dataclass(frozen=True, slots=True)
class Piece:
    """Some records in order.

    Attributes:
        offsets: of each record, ascending; several records of one message share an offset.
        end: the offset from which to read on; everything below it that concerns the relay is here.
    """

    records: Sequence[Record]
    offsets: Sequence[int]
    end: int


class Source(Protocol):
    """Calls block and are thread-safe: lanes that lie behind read beside the others.

    Reading an offset again gives the same records with the same ids.
    """

    def extent(self) -> tuple[int, int]:
        """The first offset that can be read, and the one behind the last."""
        ...

    def read(self, offset: int, limit: int) -> Piece:
        """About `limit` records from `offset` on; none at the end.

        Raises:
            StoreUnavailable: right now it cannot be read.
        """
        ...

    def offset_at(self, time: Micros) -> int:
        """The first offset of what arrived at `time` or later; for `rewind`."""
        ...
