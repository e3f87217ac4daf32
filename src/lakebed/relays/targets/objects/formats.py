"""Records as bytes of a file."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lakebed.ports.relays import TIMES, Record
from lakebed.relays.targets.showing import encode, shown
from lakebed.vocabulary.times import to_datetime

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_EXACT = (int, float)


def ndjson(records: Sequence[Record]) -> bytes:
    return b"".join(encode(shown(record)) + b"\n" for record in records)


def comma_separated(records: Sequence[Record]) -> bytes:
    """A column for each name that any record has; nested values are JSON."""
    rows = [_flat(shown(record)) for record in records]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_names(rows)), restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(records: Sequence[Record]) -> bytes:
    """Times are timestamps in UTC; a column whose values have several types is text."""
    rows = [_typed(record) for record in records]
    columns = {name: _column([row.get(name) for row in rows]) for name in _names(rows)}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written, compression="zstd")
    return written.getvalue()


FORMATS: Final[Mapping[str, Callable[[Sequence[Record]], bytes]]] = {
    "ndjson": ndjson,
    "csv": comma_separated,
    "parquet": parquet,
}


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[str, None]:
    return {name: None for row in rows for name in row}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str):
        return "'" + value if value.startswith(_FORMULA) else value  # no formula of a spreadsheet
    if isinstance(value, _EXACT) and not isinstance(value, bool):
        return value
    return encode(value).decode()


def _typed(record: Record) -> dict[str, Any]:
    row = shown(record)
    for name in ("time", "received"):
        row[name] = to_datetime(getattr(record, name))
    for name in TIMES & record.values.keys():
        row[name] = to_datetime(record.values[name])
    return {
        name: encode(value).decode() if _is_nested(value) else value for name, value in row.items()
    }


def _is_nested(value: Any) -> bool:
    return not (value is None or isinstance(value, str | int | float) or hasattr(value, "year"))


def _column(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([v if v is None or isinstance(v, str) else str(v) for v in values])
