"""Records of relays out of what policies kept: columns become values, and get their ids.

    kept       policy, topic, partition, offset, field, element    of the message
    changed    the same, of the last value's message
    windows    policy, topic, field, start, end, and what was computed

So a record has its id wherever it is read from: the outbox, a replay, a backfill. A window that was
corrected is another record than before, and one that is given again unchanged is the same.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lakebed.kinds.tables import TYPES
from lakebed.ports.catalog.outbox import Gives
from lakebed.ports.relays import Record
from lakebed.vocabulary.times import Micros

if TYPE_CHECKING:
    import pyarrow as pa

_SIZE = 16  # bytes of an id
_DIGITS = ".12g"
"""Of the numbers in an id. The last digits of a sum depend on the order in which the series adds
up the fragments of a window."""

_JSON, _INTEGER, _BOOLEAN = TYPES["json"], TYPES["integer"], TYPES["boolean"]
_TEXT = TYPES["text"]
_APART = frozenset({"topic", "field", "start", "end", "cut", "late"})  # columns of windows


def id_of(*parts: object) -> str:
    """An id of these parts, which are what makes a record."""
    return blake2b(msgspec.msgpack.encode(parts), digest_size=_SIZE).hexdigest()


def of_rows(
    owner: str, policy: str, gives: Gives, rows: "pa.Table", received: Micros
) -> Iterator[Record]:
    """Yield records and last values.

    Args:
        rows: columns as a page of the series has them, `outbox.blocks.COLUMNS`.
    """
    columns = {name: _listed(rows[name]) for name in rows.column_names if name != "time"}
    times = _listed(rows["time"].cast("int64"))
    fields, elements, numbers, texts, arounds = (
        columns.get(name) or repeat(None)
        for name in ("field", "element", "number", "text", "around")
    )
    places = columns["topic"], times, columns["partition"], columns["offset"], columns["type"]
    for place, field, element, number, text, around in zip(
        zip(*places, strict=True), fields, elements, numbers, texts, arounds, strict=False
    ):
        topic, time, partition, offset, type = place
        values = {"field": field} if field else {}
        values["value"] = _value(type, number, text)
        if around:
            values["with"] = _json(around)
        id = id_of(owner, policy, topic, partition, offset, field or "", element or 0)
        yield Record(id, topic, time, received, gives, values, policy=policy)


def of_window(
    owner: str, policy: str, gives: Gives, row: Mapping[str, Any], received: Micros
) -> Record:
    """The record of a window.

    Args:
        row: of a page of windows.
    """
    topic, start = row["topic"], row["start"]
    values = {"field": row["field"]} if row["field"] else {}
    values |= {"start": start, "end": row["end"]}
    values |= {name: value for name, value in row.items() if name not in _APART}
    id = id_of(owner, policy, topic, row["field"], *map(_stable, values.values()))
    return Record(id, topic, start, received, gives, values, policy=policy)


def _listed(column: "pa.ChunkedArray") -> list[Any]:
    """As `to_pylist`, but faster for numbers, and for texts that repeat."""
    whole = column.combine_chunks()
    if hasattr(whole, "dictionary"):
        names = whole.dictionary.to_pylist()
        return [names[code] for code in whole.indices.to_numpy().tolist()]
    if whole.null_count:
        return cast(list[Any], whole.to_pylist())
    return cast(list[Any], whole.to_numpy(zero_copy_only=False).tolist())


def _value(type: int, number: float | None, text: str | None) -> Any:
    """As `GET /api/v1/records` answers."""
    if type == _INTEGER:
        return int(text or "0")
    if type == _BOOLEAN:
        return number == 1
    if type == _TEXT:
        return text or ""
    return _json(text or "") if type == _JSON else number


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):  # it is kept as it was sent, such as half a pair
        return text


def _stable(value: Any) -> Any:
    if isinstance(value, float):
        return format(value, _DIGITS)
    if isinstance(value, list):
        return [_stable(one) for one in value]
    return {key: _stable(one) for key, one in value.items()} if isinstance(value, dict) else value
