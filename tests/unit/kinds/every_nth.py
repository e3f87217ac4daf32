"""A kind of policy in one file: every n-th value of a topic, to show what adding one takes."""

import msgspec
import numpy as np
import pyarrow as pa

from lakebed.kinds.buffer import RowBuffer
from lakebed.kinds.columns import record_columns
from lakebed.kinds.kind import DocumentKey, Effect, ErasedRange, Kind, Rows, Site, Values
from lakebed.kinds.tables import RECORD, RECORD_KEY, Table
from lakebed.vocabulary.messages import Codes
from lakebed.vocabulary.times import SECOND, Micros

TABLE = Table("every_nth", RECORD, RECORD_KEY, partition=(("month", "time"),), begin="time")


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} is no whole number from 1 on")
    return value


class EveryNthState:
    """Counts values by channel; the count goes on after a restart."""

    def __init__(self, site: Site) -> None:
        self._site, self._n = site, site.policy.options["nth"]
        self._buffer = RowBuffer(site.policy.buffer)
        self._seen: dict[int, int] = {}

    @property
    def clean(self) -> bool:
        return not self._buffer

    def load(self) -> tuple[int, int]:
        return self._buffer.rows, self._buffer.bytes

    def absorb(self, values: Values) -> None:
        chosen = []
        for row, channel in enumerate(values.channel.tolist()):
            self._seen[channel] = self._seen.get(channel, 0) + 1
            if self._seen[channel] % self._n == 0:
                chosen.append(row)
        index = np.array(chosen, np.intp)
        assert values.numbers is not None
        self._buffer.add(
            Values(
                values.channel[index], values.time[index], values.offset[index],
                values.received[index], values.size[index], values.numbers[index], None, None,
            )
        )  # fmt: skip

    def due(self) -> Micros | None:
        return self._buffer.due()

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        if not self._buffer:
            return []
        return [Rows(TABLE.name, pa.table(record_columns(self._site, self._buffer.take())))]

    def cut(self, now: Micros) -> None:
        pass

    def rewrite(self) -> None:
        pass

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._seen)

    def restore(self, state: bytes) -> None:
        self._seen = msgspec.msgpack.decode(state, type=dict[int, int])

    def release(self, now: Micros) -> bool:
        return False

    def erase(self, gone: ErasedRange) -> None:
        for channel in gone.channels:
            self._seen.pop(channel, None)

    def renumber(self, codes: Codes) -> None:
        self._seen = {
            int(codes[old]): count for old, count in self._seen.items() if codes[old] >= 0
        }


KIND = Kind(
    name="every_nth",
    types=("number",),
    keys={
        "nth": DocumentKey(needed="10", accept=_count, description="which values are kept"),
        "buffer": DocumentKey(default=SECOND),
    },
    open=EveryNthState,
    answers="records",
    rank=6,
    tables={"number": TABLE},
)
