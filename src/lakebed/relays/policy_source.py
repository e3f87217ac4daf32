"""What a relay reads of a policy: the outbox, and from the series the windows that it names.

    block ──rows from an offset on──┬─ records, last values ──────────────────> Record
                                    └─ windows ──questions──> series ──whole──> Record

A window is read when it is passed on, by the question that `GET /api/v1/records` asks: so it is
whole, whatever fragments of it there are, and may have more in it than when it was noted.
"""

import threading
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from lakebed.kinds.tables import COMPLETE, CUT
from lakebed.outbox.blocks import Noted, decode
from lakebed.policies.document import parse
from lakebed.ports.catalog.outbox import Gives, OutboxBlock, OutboxReader, Stream, Waiting
from lakebed.ports.relays import Record
from lakebed.ports.series import SeriesReader
from lakebed.queries import reading
from lakebed.relays import policy_records, whole_windows
from lakebed.relays.source import Piece
from lakebed.relays.whole_windows import Window
from lakebed.vocabulary.policy import Policy
from lakebed.vocabulary.times import SECOND, Micros

_EMPTY_BLOCKS = 100  # read for one piece, where none has anything for this relay
_CACHED = 4  # blocks; lanes of a relay are near each other


class OutboxCatalog(OutboxReader, reading.KeptCatalog, Protocol):
    """The part of the catalog that a relay of a policy needs."""


class PolicySource:
    """Implements `relays.source.Source` for one stream of the outbox.

    Attributes:
        missed: windows that were noted and are not in the series any more: their time there is
            over, or they were deleted.
    """

    def __init__(
        self, catalog: OutboxCatalog, series: SeriesReader, stream: Stream, gives: Gives
    ) -> None:
        self._catalog, self._series = catalog, series
        self._stream, self._gives = stream, gives
        self._lock = threading.Lock()
        self._decoded: dict[int, tuple[bytes, Noted]] = {}  # by the first number of a block
        self.missed = 0

    def extent(self) -> tuple[int, int]:
        return self._catalog.outbox_extent(self._stream)

    def offset_at(self, time: Micros) -> int:
        return self._catalog.outbox_at(self._stream, time)

    def waiting(self, offset: int) -> Waiting:
        """Records from an offset on, and their bytes in the catalog."""
        return self._catalog.outbox_waiting(self._stream, offset)

    def trim(self, below: int) -> None:
        """Delete what every relay has."""
        self._catalog.trim_outbox(self._stream, below)

    def read(self, offset: int, limit: int) -> Piece:
        """As in `Source`; of a window the ids tell whether it is the same as before.

        Raises:
            StoreUnavailable: catalog or series do not answer.
        """
        end = offset
        for _ in range(_EMPTY_BLOCKS):
            blocks = self._catalog.outbox_blocks(self._stream, end)
            if not blocks:
                break
            piece = self._piece(blocks[0], end, limit)
            end = piece.end
            if piece.records:
                return piece
        return Piece((), (), end)

    def _piece(self, block: OutboxBlock, offset: int, limit: int) -> Piece:
        noted = self._decode(block)
        places = noted.rows["place"].to_numpy()
        begin = int(np.searchsorted(places, offset - block.first))
        behind = begin + limit
        end = block.first + int(places[behind]) if behind < len(places) else block.end
        chosen = Noted(noted.shape, noted.version, noted.rows.slice(begin, limit))
        offsets = (places[begin:behind] + block.first).tolist()
        records = zip(self._records(chosen, block.at), offsets, strict=True)
        found = [(record, number) for record, number in records if record is not None]
        return Piece([record for record, _ in found], [number for _, number in found], end)

    def _decode(self, block: OutboxBlock) -> Noted:
        with self._lock:
            known = self._decoded.get(block.first)
        if known is not None and known[0] == block.state:  # an erasure changes it
            return known[1]
        noted = decode(block)
        with self._lock:
            self._decoded[block.first] = block.state, noted
            while len(self._decoded) > _CACHED:
                del self._decoded[next(iter(self._decoded))]
        return noted

    def _records(self, noted: Noted, at: Micros) -> Sequence[Record | None]:
        """A record for each row; None for those that are not passed on."""
        if noted.shape == "windows" and self._gives != "kept":
            return self._windows(noted, at)
        if self._gives != ("kept" if noted.shape == "records" else "changed"):
            return [None] * len(noted.rows)
        owner, policy = self._stream.owner, self._stream.policy
        return list(policy_records.of_rows(owner, policy, self._gives, noted.rows, at))

    def _windows(self, noted: Noted, at: Micros) -> list[Record | None]:
        rows = noted.rows.to_pylist()
        names: list[Window | None] = [
            (row["topic"], row.get("field") or "", row["start"] * SECOND, row["end"] * SECOND)
            if self._gives == "changed" or row["complete"] & (COMPLETE | CUT)
            else None
            for row in rows
        ]
        wanted = {name for name in names if name is not None}
        policy = self._policy(noted.version) if wanted else None
        whole = {}
        if policy is not None:
            whole = whole_windows.read(self._series, self._catalog, policy, wanted)
        self.missed += len(wanted) - len(whole)
        found = (None if name is None else whole.get(name) for name in names)
        owner, name = self._stream.owner, self._stream.policy
        return [
            policy_records.of_window(owner, name, self._gives, row, at)
            # one of several partitions has a part of it that is open, and gives it again
            if row is not None and (self._gives == "changed" or row["complete"] or row["cut"])
            else None
            for row in found
        ]

    def _policy(self, version: int) -> Policy | None:
        """The newest version that keeps windows where that version kept them."""
        stored = self._catalog.policy_versions(self._stream.owner, self._stream.policy)
        place = {one.version: (one.document["keep"], one.document["type"]) for one in stored}
        alike = [one for one in stored if place[one.version] == place.get(version)]
        return parse(alike[-1].document, alike[-1].owner, alike[-1].version) if alike else None
