"""`window` and `archive`: every record at full resolution, for a time or for ever."""

import pyarrow as pa

from lakebed.kinds.buffer import RowBuffer
from lakebed.kinds.columns import expiry, record_columns
from lakebed.kinds.kind import ErasedRange, Site, Values, Writes
from lakebed.stores.series.schema import ARCHIVE, WINDOW
from lakebed.vocabulary.messages import Codes
from lakebed.vocabulary.times import Micros


class Records:
    """Rows go to the table of the policy's kind; their key is topic, time and position."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._table = {"window": WINDOW, "archive": ARCHIVE}[site.policy.keep].name
        self._buffer = RowBuffer(site.policy.buffer)

    @property
    def clean(self) -> bool:
        return not self._buffer

    def load(self) -> tuple[int, int]:
        return self._buffer.rows, self._buffer.bytes

    def absorb(self, values: Values) -> None:
        self._buffer.add(values)

    def due(self) -> Micros | None:
        return self._buffer.due()

    def drain(self, now: Micros, offset: int, final: bool) -> Writes:
        if not self._buffer:
            return Writes()
        values = self._buffer.take()
        columns = record_columns(self._site, values)
        columns["expires"] = expiry(values.time, self._site.policy.span)
        return Writes(rows=[(self._table, pa.table(columns))])

    def rewrite(self) -> None:
        pass  # nothing in memory is also in the series

    def snapshot(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass

    def release(self, now: Micros) -> bool:
        return False

    def erase(self, gone: ErasedRange) -> None:
        pass  # what is written is not remembered

    def renumber(self, codes: Codes) -> None:
        pass
