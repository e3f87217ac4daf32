"""Arrow columns that all tables share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lakebed.kinds.kind import Site, Values
from lakebed.kinds.tables import STORED, TYPES
from lakebed.vocabulary.messages import Codes, Ints
from lakebed.vocabulary.times import Micros

_MICROS = pa.timestamp("us", "UTC")
FOREVER = 2**32 - 1
"""`expires` of rows without a retention: DateTime's last second (2106)."""


ONE = ("",)
"""The fields of a policy whose messages have one value."""

_KINDS = {
    np.dtype(kind): arrow
    for kind, arrow in {
        np.uint8: pa.uint8(),
        np.int32: pa.int32(),
        np.uint32: pa.uint32(),
        np.int64: pa.int64(),
        np.uint64: pa.uint64(),
        np.float64: pa.float64(),
    }.items()
}


def plain(column: NDArray[Any], kind: Any = None) -> pa.Array:
    """A numpy column as it lies in memory: no copy, no look at each value.

    Args:
        column: of one of the types that tables hold.
        kind: an Arrow type of the same width; None for the one that goes by the same name.
    """
    data = pa.py_buffer(np.ascontiguousarray(column))
    return pa.Array.from_buffers(kind or _KINDS[column.dtype], len(column), [None, data])


def constant(n: int, text: str) -> pa.Array:
    """n times the same text, stored once."""
    return pa.DictionaryArray.from_arrays(plain(np.zeros(n, np.int32)), pa.array([text]))


def topics(channel: Codes, names: Sequence[str]) -> pa.Array:
    """The topic of each row, each distinct one stored once."""
    used, codes = np.unique(channel, return_inverse=True)
    distinct = pa.array(list(map(names.__getitem__, used.tolist())), pa.string())
    return pa.DictionaryArray.from_arrays(plain(codes.astype(np.int32)), distinct)


def times(column: Ints) -> pa.Array:
    return plain(column, _MICROS)


def owner_columns(site: Site, channel: Codes) -> dict[str, Any]:
    n, fields = len(channel), site.policy.field_names
    columns = {
        "owner": constant(n, site.policy.owner),
        "policy": constant(n, site.policy.name),
        "partition": plain(np.full(n, site.partition, np.uint32)),
    }
    if fields != ONE:
        codes = (channel % len(fields)).astype(np.int32)
        columns["field"] = pa.DictionaryArray.from_arrays(plain(codes), pa.array(fields))
        channel = channel // len(fields)
    return columns | {"topic": topics(channel, site.topics)}


def record_columns(site: Site, values: Values) -> dict[str, Any]:
    """The columns that records of every kind have."""
    columns = owner_columns(site, values.channel) | {
        "time": times(values.time),
        "offset": plain(values.offset),
        "type": plain(np.full(len(values), TYPES[site.policy.type], np.uint8)),
        "size": plain(values.size.astype(np.uint32)),
    }
    if values.numbers is not None:
        if values.numbers.dtype == np.int64:
            columns["text"] = plain(values.numbers).cast(pa.string())
        columns["number"] = plain(values.numbers.astype(np.float64, copy=False))
    if values.texts is not None:
        columns["text"] = pa.array(values.texts, pa.string())
    if values.element is not None:
        columns["element"] = plain(values.element)
    if values.ids is not None:
        columns["id"] = pa.array(values.ids, pa.string())
    if values.around is not None:
        columns["around"] = pa.array(values.around, pa.string())
    return columns


def stamped(rows: pa.Table, now: Micros) -> pa.Table:
    """The rows as they are given to the store at this moment."""
    if STORED not in rows.column_names:
        return rows
    moments = times(np.full(len(rows), now, np.int64))
    return rows.set_column(rows.column_names.index(STORED), STORED, moments)


def expiry(time: Ints, span: int | None) -> pa.Array:
    """Epoch seconds at which rows of these times leave, rounded up; `FOREVER` without a span."""
    if span is None:
        return plain(np.full(len(time), FOREVER, np.uint32))
    seconds = -(-(time + span) // 1_000_000)
    return plain(np.clip(seconds, 0, FOREVER).astype(np.uint32))
