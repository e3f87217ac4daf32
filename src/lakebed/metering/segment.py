"""A segment of the byte ledger as columns, and as the bytes that the catalog holds.

    state: [topics, names, counts], each a zstd frame, of which a reader decodes what it needs

Names are written once, and rows refer to them by small ints. Of messages that came in, the policies
of a row are a *set*: those that its messages came to, and those that kept them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from lakebed.ports.catalog.ledger import LedgerSegment
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import Micros

REST = ""
"""Stands for the topics of an owner beyond the bound, which are counted together."""

NO_UNIT = ""
"""Stands for a sender or reader that is not known, or is counted together with others."""


class PolicySet(NamedTuple):
    """The policies, by name, that some messages came to, and those of them that kept them."""

    met: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


COUNTED, COUNTED_KEPT = PolicySet(("",), ()), PolicySet(("",), ("",))
"""Of rows below zero: messages that a policy was filled with, and that were counted when they came.
They balance the sums of all; where policies are told apart they are left out."""


class RowKey(NamedTuple):
    """What a row is about; `policy` is "" where no single policy is."""

    owner: str
    unit: str
    topic: str
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of n rows.

    Attributes:
        owner, topic, unit, policies: int32[n], indices in the lists of names.
    """

    owners: Sequence[str]
    topics: Sequence[str]
    units: Sequence[str]
    sets: Sequence[PolicySet]
    owner: Codes
    topic: Codes
    unit: Codes
    policies: Codes

    def encode(self) -> tuple[bytes, bytes]:
        """The frames of topics and of all other names."""
        columns = (self.owner, self.topic, self.unit, self.policies)
        others = [self.owners, self.units, self.sets, [_narrow(column) for column in columns]]
        return _packed(self.topics), _packed(others)


def encode(names: tuple[bytes, bytes], count: Ints, size: Ints) -> bytes:
    """The state of a segment, of encoded names and int64[n] counts of messages and bytes."""
    return msgspec.msgpack.encode([*names, _packed([_narrow(count), _narrow(size)])])


class Segment:
    """A segment that is read; parts of it are decoded when they are asked for.

    Attributes:
        hour: when it begins.
        measure: what it counts.
        count, size: int64[n]; of what is stored, rows and bytes.
    """

    def __init__(self, stored: LedgerSegment) -> None:
        self.hour: Micros = stored.hour
        self.measure = stored.measure
        self._topics, names, counts = msgspec.msgpack.decode(stored.state)
        count, size = _unpacked(counts)
        self.count, self.size = _wide(count, np.int64), _wide(size, np.int64)
        self.owners, self.units, sets, columns = _unpacked(names)
        self.sets = [PolicySet(tuple(met), tuple(kept)) for met, kept in sets]
        self.owner, self.topic, self.unit, self.policies = (
            _wide(column, np.int32) for column in columns
        )

    @cached_property
    def topics(self) -> list[str]:
        found: list[str] = _unpacked(self._topics)
        return found


def of_rows(
    hour: Micros, measure: str, writer: str, first: int, rows: Mapping[RowKey, Sequence[int]]
) -> LedgerSegment:
    """A segment of few rows: the count and the bytes of each key."""
    owners, units, topics, policies = (_index(column) for column in zip(*rows, strict=True))
    sets = [PolicySet((name,), ()) if name else PolicySet() for name in policies]
    columns = [
        np.array([index[name] for name in column], np.int32)
        for index, column in zip(
            (owners, topics, units, policies),
            zip(*((key.owner, key.topic, key.unit, key.policy) for key in rows), strict=True),
            strict=True,
        )
    ]
    names = Names(list(owners), list(topics), list(units), sets, *columns).encode()
    count, size = (np.array(column, np.int64) for column in zip(*rows.values(), strict=True))
    return LedgerSegment(hour, measure, writer, first, len(rows), encode(names, count, size))


def _index(names: Iterable[str]) -> dict[str, int]:
    return {name: code for code, name in enumerate(dict.fromkeys(names))}


def _narrow(column: NDArray[Any]) -> tuple[int, bytes]:
    """The column in as few bytes as its values take."""
    most = max(int(column.max(initial=0)), -1 - int(column.min(initial=0)))
    width = next(width for width in (1, 2, 4, 8) if most < 1 << 8 * width - 1)
    return width, column.astype(f"<i{width}").tobytes()


def _wide(column: tuple[int, bytes], kind: Any) -> Any:
    width, data = column
    return np.frombuffer(data, f"<i{width}").astype(kind)


def _packed(value: Any) -> bytes:
    return zstandard.compress(msgspec.msgpack.encode(value), 1)


def _unpacked(data: bytes) -> Any:
    return msgspec.msgpack.decode(zstandard.decompress(data))
