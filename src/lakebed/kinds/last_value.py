"""`last_value`: the newest value of each topic, written at most once per `every`.

A topic's first value is written at once, then its newest one whenever `every` has passed since
its last write. Newest is by event time, ties by position. One that lies in the future counts as
of when it was received: so the next one replaces it, and no device's clock that was ahead stops a
topic. The server's own clock may step back: what is received counts as no earlier than what was.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.kinds.kind import (
    DocumentKey,
    Effect,
    ErasedRange,
    Kind,
    LastValues,
    Site,
    Values,
)
from lakebed.kinds.tables import TYPES
from lakebed.ports.catalog.last_values import LastValue
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import DAY, SECOND, Micros
from lakebed.vocabulary.widths import format_width

_NEVER = int(np.iinfo(np.int64).min)


class LastValueState:
    """State in columns by channel; `_values` holds numbers or texts."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._every = site.policy.every or 0
        self._clear()

    def _clear(self) -> None:
        self._time = np.full(0, _NEVER, np.int64)
        self._as_of = np.full(0, _NEVER, np.int64)
        self._arrived: Micros = _NEVER  # the latest receive time
        self._offset = np.zeros(0, np.int64)
        self._size = np.zeros(0, np.int64)
        self._written = np.full(0, _NEVER, np.int64)
        self._waits = np.zeros(0, np.bool_)
        self._values: list[float | str] = []
        self._ids: dict[int, str] = {}
        self._around: dict[int, str] = {}

    @property
    def clean(self) -> bool:
        return True  # values that wait are part of the snapshot

    def load(self) -> tuple[int, int]:
        return 0, 0  # bounded by the number of topics, not by messages

    def absorb(self, values: Values) -> None:
        if not len(values):
            return
        self._grow(int(values.channel.max()) + 1)
        arrived = np.maximum(np.maximum.accumulate(values.received), self._arrived)
        self._arrived = int(arrived[-1])
        as_of = np.minimum(values.time, arrived)
        newest = _newest(values.channel, as_of)
        channel = values.channel[newest]
        # offsets only grow, so an equal time is a later position
        newest = newest[as_of[newest] >= self._as_of[channel]]
        channel = values.channel[newest]
        self._as_of[channel] = as_of[newest]
        self._time[channel] = values.time[newest]
        self._offset[channel] = values.offset[newest]
        self._size[channel] = values.size[newest]
        self._waits[channel] = True
        for code, value in zip(channel.tolist(), _at(values, newest), strict=True):
            self._values[code] = value
        _remember(self._ids, values.ids, channel.tolist(), newest.tolist())
        _remember(self._around, values.around, channel.tolist(), newest.tolist())

    def due(self) -> Micros | None:
        written = self._written[self._waits]
        if not len(written):
            return None
        first = int(written.min())
        return first + self._every if first != _NEVER else 0

    def drain(self, now: Micros, offset: int, final: bool) -> list[Effect]:
        due_now = self._waits & ((self._written == _NEVER) | (self._written <= now - self._every))
        # a clock that stepped back must not hold values up
        due_now |= self._waits & (self._written > now)
        codes = np.flatnonzero(self._waits if final else due_now)
        self._waits[codes] = False
        self._written[codes] = now
        np.minimum(self._written, now, out=self._written)  # nothing was written later than now
        return [LastValues(list(self._last_values(codes)))] if len(codes) else []

    def _last_values(self, codes: Ints) -> Iterator[LastValue]:
        site, policy, partition = self._site, self._site.policy, self._site.partition
        shown = self._time, self._as_of, self._size, self._offset
        columns = (column[codes].tolist() for column in shown)
        for code, time, as_of, size, offset in zip(codes.tolist(), *columns, strict=True):
            value, id = self._values[code], self._ids.get(code, "")
            yield LastValue(
                policy.owner,
                policy.name,
                site.topic_of(code),
                policy.type,
                time,
                value,
                size,
                partition,
                offset,
                id,
                as_of,
                site.field_of(code),
                self._around.get(code, ""),
            )

    def cut(self, now: Micros) -> None:
        pass

    def rewrite(self) -> None:
        pass  # nothing in memory is also in the series

    def snapshot(self) -> bytes:
        codes = np.flatnonzero(self._time != _NEVER)
        return self._state(codes, codes)

    def _state(self, codes: Ints, named: Codes | Ints) -> bytes:
        """The state of the channels at `codes`, to be restored under the codes `named`."""
        columns = [named.astype(np.int64), *(column[codes] for column in self._columns())]
        values = [self._values[code] for code in codes.tolist()]
        ids = [self._ids.get(code, "") for code in codes.tolist()] if self._ids else []
        around = [self._around.get(code, "") for code in codes.tolist()] if self._around else []
        data = [column.tobytes() for column in columns]
        return msgspec.msgpack.encode((data, values, ids, self._arrived, around))

    def restore(self, state: bytes) -> None:
        # earlier versions wrote three, or four
        columns, values, ids, *rest = msgspec.msgpack.decode(state)
        self._arrived = rest[0] if rest else _NEVER
        around = rest[1] if len(rest) > 1 else []
        codes = np.frombuffer(columns[0], np.int64)
        self._grow(int(codes.max(initial=-1)) + 1)
        if len(columns) == len(self._columns()):  # written before there was `as_of`
            columns = [*columns, columns[1]]
        for column, data in zip(self._columns(), columns[1:], strict=True):
            column[codes] = np.frombuffer(data, column.dtype)
        for code, value in zip(codes.tolist(), values, strict=True):
            self._values[code] = value
        self._ids = dict(zip(codes.tolist(), ids, strict=True)) if ids else {}
        self._around = dict(zip(codes.tolist(), around, strict=True)) if around else {}

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self._time, self._offset, self._size, self._written, self._waits, self._as_of

    def release(self, now: Micros) -> bool:
        return False

    def erase(self, gone: ErasedRange) -> None:
        known = np.flatnonzero(self._time != _NEVER)
        codes = known[gone.covers(known, self._time[known])]
        self._time[codes] = self._as_of[codes] = self._written[codes] = _NEVER
        self._waits[codes] = False
        for code in codes.tolist():
            self._values[code] = ""
            self._ids.pop(code, None)
            self._around.pop(code, None)

    def renumber(self, codes: Codes) -> None:
        known = np.flatnonzero(self._time != _NEVER)
        stays = known[codes[known] >= 0]
        state = self._state(stays, codes[stays])
        self._clear()
        self.restore(state)

    def _grow(self, needed: int) -> None:
        more = needed - len(self._time)
        if more <= 0:
            return
        more = max(more, len(self._time), 64)
        self._time = _extended(self._time, more, _NEVER)
        self._as_of = _extended(self._as_of, more, _NEVER)
        self._offset = _extended(self._offset, more, 0)
        self._size = _extended(self._size, more, 0)
        self._written = _extended(self._written, more, _NEVER)
        self._waits = np.concatenate([self._waits, np.zeros(more, np.bool_)])
        self._values.extend([""] * more)


def _extended(column: Ints, more: int, fill: int) -> Ints:
    return np.concatenate([column, np.full(more, fill, np.int64)])


def _remember(
    known: dict[int, str], found: Sequence[str] | None, channels: list[int], rows: list[int]
) -> None:
    """Take over the texts of the newest values."""
    if found is None and not known:
        return
    for code, row in zip(channels, rows, strict=True):
        known[code] = found[row] if found else ""


def _at(values: Values, rows: Ints) -> Sequence[float | str]:
    if values.numbers is not None:
        return cast(list[float], values.numbers[rows].tolist())
    assert values.texts is not None
    return [values.texts[row] for row in rows.tolist()]


def _newest(channel: Codes, time: Ints) -> Ints:
    """The row of each channel's newest value: latest time, then latest position."""
    if np.all(time[1:] >= time[:-1]):
        last = np.full(int(channel.max()) + 1, -1, np.int64)
        last[channel] = np.arange(len(time))  # of equal indices the last one counts
        return last[last >= 0]
    order = np.lexsort((time, channel))  # stable: position decides ties
    channel = channel[order]
    last = np.flatnonzero(np.append(channel[1:] != channel[:-1], True))
    newest: Ints = order[last]
    return newest


def _check_every(micros: Micros) -> Micros:
    if micros > DAY:
        raise ValueError(f"{format_width(micros)} is outside of what is allowed: 0s to 24h")
    return micros


KIND = Kind(
    name="last_value",
    types=tuple(TYPES),
    keys={"every": DocumentKey(default=SECOND, check=_check_every)},
    open=LastValueState,
    answers="values",
    rank=5,
)
