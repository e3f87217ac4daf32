"""Events and their counts as JSON, NDJSON, CSV, Arrow and Parquet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lakebed.api import formats
from lakebed.ports.events import Counts, EventPage
from lakebed.vocabulary.event_fields import TOPIC
from lakebed.vocabulary.times import to_rfc3339

OWN = ("name", "time", "id", "accepted", "stored")
"""Keys of an answer that are of Lakebed. What the sender had under `accepted` or `stored` is in
`sent`; its `name`, `time` and `id` are the same, in one form."""

_UTC = pa.timestamp("us", "UTC")
_ROWS = 2_000  # rows to a piece
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def rows(page: EventPage) -> Iterator[dict[str, Any]]:
    """Events as objects: what was sent, with the times that Lakebed knows."""
    found = page.rows
    for start in range(0, len(found), _ROWS):
        part = found.slice(start, _ROWS)
        columns = (part[name].to_pylist() for name in ("topic", "text", "id"))
        moments = (_texts(part[name]) for name in ("time", "received", "stored"))
        for topic, text, id, time, accepted, stored in zip(*columns, *moments, strict=True):
            yield _event(topic, text, id, time, accepted, stored)


def _event(
    topic: str, text: str, id: str, time: str | None, accepted: str | None, stored: str | None
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": topic.removeprefix(TOPIC), "time": time}
    if id:
        row["id"] = id
    row |= {"accepted": accepted, "stored": stored}
    try:
        members = _MEMBERS.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return row | {"data": msgspec.Raw(formats.one_line(text).encode())}
    sent = {key: members.pop(key) for key in ("accepted", "stored") if key in members}
    for key, value in members.items():
        row.setdefault(key, value)
    if sent:
        row["sent"] = sent
    return row


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """RFC 3339; None for a moment that was not noted."""
    return [to_rfc3339(each) if each else None for each in column.to_pylist()]


def write_events(
    page: EventPage, form: str, gaps: Sequence[Mapping[str, str]], guarded: bool
) -> Iterator[bytes]:
    """The page in one of `formats.MEDIA_TYPES`, in pieces."""
    if form == "json":
        rest = {"next_cursor": page.next_cursor} | ({"gaps": gaps} if gaps else {})
        return _json("events", rows(page), rest)
    if form == "ndjson":
        return _ndjson(rows(page))
    return _TABLES[form](_table(page), guarded)


def write_counts(counts: Counts, form: str, guarded: bool) -> Iterator[bytes]:
    """The rows in one of `formats.MEDIA_TYPES`, in pieces."""
    if form in ("json", "ndjson"):
        shown = _count_rows(counts)
        rest = {"more": True} if counts.more else {}
        return _json("rows", shown, rest) if form == "json" else _ndjson(shown)
    found = counts.rows
    for name in {"start", "end"} & set(found.column_names):
        found = found.set_column(found.column_names.index(name), name, found[name].cast(_UTC))
    return _TABLES[form](found, guarded)


def _count_rows(counts: Counts) -> Iterator[dict[str, Any]]:
    for row in counts.rows.to_pylist():
        for name, value in row.items():
            if name in ("start", "end") and isinstance(value, int):
                row[name] = to_rfc3339(value)
            elif isinstance(value, float):
                row[name] = formats.tidy(value)
        yield row


def _table(page: EventPage) -> pa.Table:
    """The columns name, time, id, accepted, stored, and event: the JSON text."""
    found = page.rows
    name = pc.replace_substring_regex(found["topic"].cast(pa.string()), f"^{TOPIC}", "")
    columns = {"name": name, "time": found["time"].cast(_UTC), "id": _or_null(found["id"], "")}
    for label, source in (("accepted", "received"), ("stored", "stored")):
        columns[label] = _or_null(found[source], 0).cast(_UTC)
    return pa.table(columns | {"event": found["text"]})


def _or_null(column: pa.ChunkedArray, nothing: object) -> Any:
    return pc.if_else(pc.equal(column, nothing), pa.scalar(None, column.type), column)


# --- the formats ----------------------------------------------------------------------------------


def _json(key: str, found: Iterator[dict[str, Any]], rest: Mapping[str, Any]) -> Iterator[bytes]:
    yield b'{"' + key.encode() + b'":['
    separator = b""
    for piece in _pieces(found):
        yield separator + formats.encode(piece)[1:-1]
        separator = b","
    yield b"]," + formats.encode(rest)[1:] if rest else b"]}"


def _ndjson(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for piece in _pieces(found):
        yield formats.encode_lines(piece)


def _pieces(found: Iterator[Any]) -> Iterator[list[Any]]:
    while piece := list(islice(found, _ROWS)):
        yield piece


def _csv(table: pa.Table, guarded: bool) -> Iterator[bytes]:
    yield formats.csv_lines([table.column_names])
    for start in range(0, len(table), _ROWS):
        part = table.slice(start, _ROWS)
        columns = [_cells(part[name]) for name in part.column_names]
        lines = zip(*columns, strict=True)
        yield formats.csv_lines(map(formats.guarded_cells, lines) if guarded else lines)


def _cells(column: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        return [_or_empty(text) for text in _texts(column.cast(pa.int64()))]
    return [_or_empty(value) for value in column.to_pylist()]


def _or_empty(value: Any) -> Any:
    if value is None:
        return ""
    return formats.tidy(value) if isinstance(value, float) else value


def _arrow(table: pa.Table, _: bool) -> Iterator[bytes]:
    yield formats.arrow_of(table)


def _parquet(table: pa.Table, _: bool) -> Iterator[bytes]:
    yield formats.parquet_of(table)


_TABLES: dict[str, Callable[[pa.Table, bool], Iterator[bytes]]] = {
    "csv": _csv,
    "arrow": _arrow,
    "parquet": _parquet,
}
