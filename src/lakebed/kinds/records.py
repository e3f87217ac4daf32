"""What `window` and `archive` share: every record at full resolution."""

import pyarrow as pa

from lakebed.kinds.buffer import RowBuffer
from lakebed.kinds.columns import expiry, record_columns
from lakebed.kinds.kind import Effect, ErasedRange, Rows, Site, Values
from lakebed.kinds.tables import Table
from lakebed.vocabulary.messages import Codes
from lakebed.vocabulary.times import Micros


class RecordsState:
    """A row for each value; its key is topic, time and position."""

    def __init__(self, site: Site, table: Table) -> None:
        self._site = site
        self._table = table.name
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

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        if not self._buffer:
            return []
        values = self._buffer.take()
        columns = record_columns(self._site, values)
        columns["expires"] = expiry(values.time, self._site.policy.span)
        return [Rows(self._table, pa.table(columns))]

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
