"""Values of Sparkplug metrics as payloads.

Int8 … UInt64, DateTime  121            DataSet   {"columns": ["a"], "rows": [[1]]}
Float, Double            21.5           Template  {"speed": 3}
Boolean                  true           arrays    [1, 2]
String, Text, UUID       the text       null      null
Bytes, File              the bytes
"""

import math
from typing import Any

import msgspec
import numpy as np

from lakebed.sources.mqtt.sparkplug import sparkplug_b_pb2 as tahu

_Metric = tahu.Payload.Metric

_SIGNED: dict[int, int] = {tahu.Int8: 8, tahu.Int16: 16, tahu.Int32: 32, tahu.Int64: 64}
_ARRAYS: dict[int, str] = {
    tahu.Int8Array: "<i1", tahu.Int16Array: "<i2", tahu.Int32Array: "<i4", tahu.Int64Array: "<i8",
    tahu.UInt8Array: "<u1", tahu.UInt16Array: "<u2", tahu.UInt32Array: "<u4",
    tahu.UInt64Array: "<u8", tahu.FloatArray: "<f4", tahu.DoubleArray: "<f8",
    tahu.DateTimeArray: "<i8",
}  # fmt: skip

_DEEPEST = 8
"""Templates within each other, and"""

MOST_CELLS = 100_000
"""cells of a data set, or values of an array, that are read."""


def payload(metric: "tahu.Payload.Metric", kind: int) -> bytes:
    """The payload of a metric's value.

    Args:
        kind: its data type.

    Raises:
        ValueError: it has no value that can be read.
    """
    found = _value(metric, kind, 0)
    if isinstance(found, bytes):
        return found
    if isinstance(found, str):
        return found.encode()
    return _json(found)


def _json(value: object) -> bytes:
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value).encode()  # no number of JSON: a policy of numbers says so
    return msgspec.json.encode(value)


def _value(metric: "tahu.Payload.Metric", kind: int, depth: int) -> Any:
    which = metric.WhichOneof("value")
    if metric.is_null or which is None:
        return None
    if which == "dataset_value":
        return _data_set(metric.dataset_value)
    if which == "template_value":
        return _template(metric.template_value, depth)
    if which == "extension_value":
        raise ValueError("its value is an extension")
    if which == "bytes_value":
        return _bytes(metric.bytes_value, kind)
    return _scalar(getattr(metric, which), kind, which == "float_value")


def _scalar(value: Any, kind: int, single: bool) -> Any:
    """A value of its type: negative whole numbers come as two's complement."""
    if single:
        return _single(value)
    bits = _SIGNED.get(kind)
    if bits is not None and isinstance(value, int) and not isinstance(value, bool):
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return value


def _single(value: float) -> float:
    """A float32 as the shortest decimal that is it, not as the float64 that protobuf makes."""
    return float(str(np.float32(value)))


def _bytes(value: bytes, kind: int) -> Any:
    if kind == tahu.StringArray:
        texts = value.removesuffix(b"\0").split(b"\0") if value else []
        return [text.decode() for text in _bounded(texts)]
    if kind == tahu.BooleanArray:
        count = int.from_bytes(value[:4], "little")
        if count > 8 * len(value[4:]):
            raise ValueError(f"an array of {count} booleans has {len(value)} bytes")
        bits = np.unpackbits(np.frombuffer(value[4:], np.uint8), count=count)
        return [bool(bit) for bit in _bounded(bits.tolist())]
    if (dtype := _ARRAYS.get(kind)) is None:
        return value
    if len(value) % np.dtype(dtype).itemsize:
        raise ValueError(f"an array of {dtype} has {len(value)} bytes")
    found = np.frombuffer(value, dtype)
    if kind == tahu.FloatArray:
        return [_single(one) for one in _bounded(found.tolist())]
    return _bounded(found.tolist())


def _bounded(values: list[Any]) -> list[Any]:
    if len(values) > MOST_CELLS:
        raise ValueError(f"it has {len(values)} values, of which {MOST_CELLS} are read")
    return values


def _data_set(found: "tahu.Payload.DataSet") -> dict[str, Any]:
    if sum(len(row.elements) for row in found.rows) > MOST_CELLS:
        raise ValueError(f"a data set has more than {MOST_CELLS} cells")
    types = list(found.types)
    rows = []
    for row in found.rows:
        if len(row.elements) != len(types):
            raise ValueError("a row of a data set has not as many elements as there are columns")
        rows.append([_cell(cell, kind) for cell, kind in zip(row.elements, types, strict=True)])
    return {"columns": list(found.columns), "rows": rows}


def _cell(cell: "tahu.Payload.DataSet.DataSetValue", kind: int) -> Any:
    which = cell.WhichOneof("value")
    if which is None or which == "extension_value":
        return None
    return _scalar(getattr(cell, which), kind, which == "float_value")


def _template(found: "tahu.Payload.Template", depth: int) -> dict[str, Any]:
    if depth >= _DEEPEST:
        raise ValueError(f"templates lie more than {_DEEPEST} deep within each other")
    members: dict[str, Any] = {}
    for metric in found.metrics:
        value = _value(metric, metric.datatype, depth + 1)
        members[metric.name] = value if not isinstance(value, bytes) else value.hex()
    return members
