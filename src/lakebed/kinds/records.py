"""The state of `window` and `archive`, which write every record at full resolution."""

import pyarrow as pa

from lakebed.kinds.buffer import BufferedState
from lakebed.kinds.columns import expiry, record_columns
from lakebed.kinds.kind import ErasedRange, Values
from lakebed.vocabulary.messages import Codes


class RecordsState(BufferedState):
    """A row for each value; its key is topic, time and position."""

    def _rows(self, values: Values) -> pa.Table:
        columns = record_columns(self._site, values)
        columns["expires"] = expiry(values.time, self._site.policy.span)
        return pa.table(columns)

    def snapshot(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        pass

    def erase(self, gone: ErasedRange) -> None:
        pass  # there is no state of written records

    def renumber(self, codes: Codes) -> None:
        pass
