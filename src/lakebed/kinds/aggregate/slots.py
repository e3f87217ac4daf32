"""A growing table of columns: one slot per open window, found by its key."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import SECOND

_START_BITS = 32  # as the tables of the series have them: seconds until 2106


def keys_of(channel: Codes | Ints, start: Ints) -> Ints:
    """int64[n], the keys of windows in one number each.

    Args:
        start: whole seconds, from 1970 on: what is negative would cover the channel.
    """
    return (channel.astype(np.int64) << _START_BITS) | (start // SECOND)


class Slots:
    """Columns of equal length by name; a slot that is freed is used again.

    Args:
        fields: dtype of each column.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = {name: np.dtype(kind) for name, kind in fields.items()}
        self.columns: dict[str, NDArray[Any]] = {
            name: np.zeros(0, kind) for name, kind in self._fields.items()
        }
        self.where: dict[int, int] = {}
        self._free: list[int] = []
        self._capacity = 0

    def __len__(self) -> int:
        return len(self.where)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def find(self, keys: Ints) -> tuple[Ints, Ints]:
        """The slot of each key, making those that are missing.

        Args:
            keys: distinct, as `keys_of` makes them.

        Returns:
            int64[n], the slots, and the rows (indices into `keys`) that are new; the columns of a
            new slot hold zeros.
        """
        listed = keys.tolist()
        slots = list(map(self.where.get, listed))
        new = []
        if None in slots:
            for row, slot in enumerate(slots):
                if slot is None:
                    slots[row] = self.where[listed[row]] = self._take()
                    new.append(row)
        return np.array(slots, np.int64), np.array(new, np.int64)

    def rename(self, keys: Ints) -> None:
        """New keys for all slots, in the order of `used`."""
        self.where = dict(zip(keys.tolist(), self.used().tolist(), strict=True))

    def _take(self) -> int:
        if not self._free:
            have, more = self._capacity, max(64, self._capacity)
            for name, column in self.columns.items():
                zeros = np.zeros(more, self._fields[name])
                self.columns[name] = np.concatenate([column, zeros])
            self._capacity = have + more
            self._free = list(range(have + more - 1, have - 1, -1))
        return self._free.pop()

    def used(self) -> Ints:
        """int64[len], all slots in use, in the order in which they were made."""
        return np.fromiter(self.where.values(), np.int64, len(self.where))

    def free(self, gone: set[int]) -> None:
        self.where = {key: slot for key, slot in self.where.items() if slot not in gone}
        freed = np.fromiter(gone, np.int64, len(gone))
        for column in self.columns.values():
            column[freed] = 0
        self._free.extend(gone)

    def to_bytes(self) -> bytes:
        used = self.used()
        columns = {name: column[used].tobytes() for name, column in self.columns.items()}
        pairs = [(key >> _START_BITS, key % 2**_START_BITS * SECOND) for key in self.where]
        return msgspec.msgpack.encode((pairs, columns))

    def from_bytes(self, state: bytes) -> Ints:
        """Fill an empty table; returns the slots in the order of `to_bytes`."""
        pairs, columns = msgspec.msgpack.decode(state)
        channel, start = np.array(pairs, np.int64).reshape(-1, 2).T
        slots, _ = self.find(keys_of(channel, np.maximum(start, 0)))
        for name, data in columns.items():
            if name in self._fields:  # else of a function that the policy asks for no more
                self.columns[name][slots] = np.frombuffer(data, self._fields[name])
        return slots
