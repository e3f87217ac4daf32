"""Counts of one hour in one partition: a row for each topic, unit and set of policies.

Most messages of a topic fall into the row of the one before, so that row is remembered for each
topic, and a chunk is counted by array look-ups; only for the others rows are looked up one by one.
Beyond `most` rows, topics that are new are counted together, by owner, so memory is bounded and
sums stay exact.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lakebed.metering.segment import REST, Names, PolicySet, encode
from lakebed.vocabulary.messages import Channel, Codes, Ints
from lakebed.vocabulary.times import Micros

_BITS = 20
_SET = (1 << _BITS) - 1
_LABEL = 2 * _BITS  # bits of a unit and a set of policies

MOST_NAMES = 1 << _BITS
"""Units and sets of policies must be fewer."""


def label(units: Codes | int, sets: Codes) -> Ints:
    """int64[n]: a unit and a set of policies as one number."""
    wide: Ints = sets.astype(np.int64)
    if isinstance(units, int):
        return wide + (units << _BITS)
    return wide + (units.astype(np.int64) << _BITS)


class Tally:
    """Args:
    channels: by their small ints; it may grow.
    most: rows, beyond which new topics are counted together, and with a quarter more the units.

    Attributes:
        hour: when it begins, microseconds UTC.
        first: the offset from which on messages are counted here.
        changed: whether anything was counted since `state` was taken.
    """

    def __init__(self, hour: Micros, first: int, channels: Sequence[Channel], most: int) -> None:
        self.hour, self.first = hour, first
        self.changed = False
        self._known, self._most = channels, most
        self._rows: dict[int, int] = {}
        self._last = np.zeros(64, np.int64)  # channel -> its last row; 0 is the row of none
        self._channel = np.zeros(64, np.int64)  # of each row; below 0 for the rest of an owner
        self._label = np.full(64, -1, np.int64)
        self._count, self._size = np.zeros(64, np.int64), np.zeros(64, np.int64)
        self._used = 1
        self._owners: dict[str, int] = {}  # of which topics are counted together
        self._names: tuple[bytes, bytes] | None = None

    def __len__(self) -> int:
        """How many rows there are."""
        return self._used - 1

    @property
    def rest(self) -> int:
        """How many messages are counted without their topic."""
        return int(self._count[: self._used][self._channel[: self._used] < 0].sum())

    def add(self, channel: Codes, labels: Ints, sizes: Ints, sign: int = 1) -> None:
        """Count n messages, each with its channel, its unit and policies, and its bytes.

        Args:
            sign: -1 for messages that are taken back; a row may count below zero, as the segment
                that has counted them may be another.
        """
        highest = int(channel.max())
        if highest >= len(self._last):
            more = np.zeros(max(highest + 1 - len(self._last), len(self._last)), np.int64)
            self._last = np.concatenate([self._last, more])
        rows = self._last[channel]
        missed = np.flatnonzero(self._label[rows] != labels)
        if len(missed):
            rows[missed] = self._look_up(channel[missed], labels[missed])
            self._last[channel] = rows
        np.add.at(self._count, rows, sign)
        np.add.at(self._size, rows, sizes if sign > 0 else -sizes)
        self.changed = True

    def _look_up(self, channel: Codes, labels: Ints) -> Ints:
        distinct, which = np.unique(labels, return_inverse=True)
        pairs, where = np.unique(
            channel.astype(np.int64) * len(distinct) + which, return_inverse=True
        )
        codes, numbers = np.divmod(pairs, len(distinct))
        rows = [
            self._row(code, label)
            for code, label in zip(codes.tolist(), distinct[numbers].tolist(), strict=True)
        ]
        found: Ints = np.array(rows, np.int64)[where]
        return found

    def _row(self, channel: int, label: int) -> int:
        row = self._rows.get(channel << _LABEL | label)
        if row is not None:
            return row
        if channel < 0 or len(self) < self._most:
            return self._new(channel, label)
        owner = self._owners.setdefault(self._known[channel].owner, len(self._owners))
        together = label if len(self) < self._most + self._most // 4 else label & _SET
        return self._row(-1 - owner, together)

    def _new(self, channel: int, label: int) -> int:
        row = self._used
        if row == len(self._label):
            self._grow()
        self._rows[channel << _LABEL | label] = row
        self._channel[row], self._label[row] = channel, label
        self._used += 1
        self._names = None
        return row

    def _grow(self) -> None:
        n = len(self._label)
        zeros = np.zeros(n, np.int64)
        self._channel = np.concatenate([self._channel, zeros])
        self._count = np.concatenate([self._count, zeros])
        self._size = np.concatenate([self._size, zeros])
        self._label = np.concatenate([self._label, np.full(n, -1, np.int64)])

    def state(self, units: Sequence[str], sets: Sequence[PolicySet]) -> bytes:
        """All of it, for a segment."""
        rows = slice(1, self._used)
        if self._names is None:
            self._names = self._named(self._channel[rows], self._label[rows], units, sets).encode()
        self.changed = False
        return encode(self._names, self._count[rows], self._size[rows])

    def _named(
        self, channel: Ints, labels: Ints, units: Sequence[str], sets: Sequence[PolicySet]
    ) -> Names:
        codes, topic = np.unique(channel, return_inverse=True)
        used, unit = np.unique(labels >> _BITS, return_inverse=True)
        met, policies = np.unique(labels & _SET, return_inverse=True)
        rest = list(self._owners)
        channels = [
            self._known[code] if code >= 0 else Channel(rest[-1 - code], REST)
            for code in codes.tolist()
        ]
        owners = {name: i for i, name in enumerate(dict.fromkeys(c.owner for c in channels))}
        owner: NDArray[np.int32] = np.array([owners[c.owner] for c in channels], np.int32)[topic]
        return Names(
            list(owners),
            [c.topic for c in channels],
            [units[code] for code in used.tolist()],
            [sets[code] for code in met.tolist()],
            owner,
            topic.astype(np.int32),
            unit.astype(np.int32),
            policies.astype(np.int32),
        )
