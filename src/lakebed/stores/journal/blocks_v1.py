"""Reads blocks of version 1, which are written no more.

The sections are those of `blocks.py`, but optional columns are told apart by their position, and
each column of integers has a head of 18 bytes.
"""

import struct

import numpy as np

from lakebed.stores.journal.packing import Damaged, Section
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.sparse import NOTHING, Sparse

VERSION = ord("1")
_COLUMN = struct.Struct("<BBqq")  # steps or values, width, first value, smallest


class SectionV1(Section):
    def ints(self, n: int) -> Ints:
        if not n:
            return np.zeros(0, np.int64)
        steps, width, first, smallest = _COLUMN.unpack(self.take(_COLUMN.size))
        if width not in (0, 1, 2, 4, 8) or steps > 1:
            raise Damaged("a column has an unknown form")
        if steps:
            return self.steps(n, width, first, smallest)
        return self.differences(n, width, smallest).view(np.int64)

    def sparse(self, received: Ints) -> Sparse:
        n = len(received)
        event = self.some_moments(received) if self.take(1) == b"\1" else None
        ids = self.texts(n) if self.take(1) == b"\1" else None
        only = self.texts(n) if self.left and self.take(1) == b"\1" else None
        found = Sparse(event, ids, only=only)
        return found if found.given() else NOTHING
