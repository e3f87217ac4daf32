"""A page of rows as JSON, NDJSON, CSV, Arrow or Parquet.

The text formats are written piece by piece, so that a large page never stands in memory twice.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, repeat
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lakebed.kinds.tables import TYPES
from lakebed.ports.question import Page
from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.messages import Ints
from lakebed.vocabulary.times import SECOND

MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}

_ROWS = 2_000  # rows to a piece
_EXACT = 2.0**53  # integers below are exact in float64, and in JavaScript
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What begins a formula, in full width too."""
_NUMBER, _JSON = TYPES["number"], TYPES["json"]
_INTEGER, _BOOLEAN = TYPES["integer"], TYPES["boolean"]
_JSON_SPACE = " \t\n\r"
_UTC = pa.timestamp("us", "UTC")
_MARKS = frozenset({"cut", "late"})  # of windows: left out of a JSON row that has none
_RAW_FIELDS = ("topic", "field", "time", "value", "size", "position", "id", "with")

_encoder = msgspec.json.Encoder()
encode, encode_lines = _encoder.encode, _encoder.encode_lines


def choose(wanted: str | None, accept: str) -> str:
    """The format by name, else by the Accept header, else json."""
    if wanted is not None:
        if wanted not in MEDIA_TYPES:
            raise BadRequest("format", f"it is one of {', '.join(MEDIA_TYPES)}")
        return wanted
    for part in accept.lower().split(","):
        media = part.partition(";")[0].strip()
        for name, known in MEDIA_TYPES.items():
            if media == known.partition(";")[0]:
                return name
    return "json"


def write(
    page: Page, form: str, gaps: Sequence[Mapping[str, str]] = (), guarded: bool = False
) -> Iterator[bytes]:
    """The page in one of the formats, in pieces.

    Args:
        guarded: whether text that a spreadsheet would run as a formula gets a `'` in front in CSV.
        gaps: times in which records may be missing; only JSON has a place for them.
    """
    if form == "json":
        return _json(page, gaps)
    return _csv(page, guarded) if form == "csv" else _WRITERS[form](page)


def tidy(number: float) -> float | int:
    """21.0 as 21, where that says the same."""
    if number.is_integer() and -_EXACT < number < _EXACT:
        return int(number)
    return number


def rows(page: Page) -> Iterator[dict[str, Any] | msgspec.Struct]:
    """Rows as the JSON formats show them; JSON values are passed on as they were sent."""
    shape: Callable[[pa.Table], Iterator[dict[str, Any] | msgspec.Struct]]
    shape = _aggregates if "start" in page.rows.column_names else _records
    found = _shown(page)
    for start in range(0, len(found), _ROWS):
        yield from shape(found.slice(start, _ROWS))


def _shown(page: Page) -> pa.Table:
    """The rows without columns in which there is nothing to be shown."""
    gone = [] if _has_fields(page) else ["field"]
    if "around" in page.rows.column_names and not _has_surroundings(page):
        gone.append("around")
    return page.rows.drop_columns(gone) if gone else page.rows


def _has_surroundings(page: Page) -> bool:
    """Whether answers have a column `with`: the policy keeps it, or an earlier version did."""
    if page.question.policy.around:
        return True
    found = page.rows["around"]
    return bool(pc.any(pc.not_equal(found, "")).as_py())


def _has_fields(page: Page) -> bool:
    """Whether answers have a column `field`: the policy has some, or an earlier version had."""
    if page.question.policy.fields:
        return True
    found = page.rows["field"]
    return bool(pc.any(pc.not_equal(found, "")).as_py())


def _records(part: pa.Table) -> Iterator[dict[str, Any]]:
    columns = {name: _listed(part[name]) for name in _RAW_COLUMNS if name != "time"}
    columns["time"] = texts_of(part["time"].to_numpy())
    fields = _listed(part["field"]) if "field" in part.column_names else repeat(None)
    elements = _listed(part["element"])
    around = _listed(part["around"]) if "around" in part.column_names else repeat("")
    for topic, time, type, number, text, size, partition, offset, id, field, element, beside in zip(
        *(columns[name] for name in _RAW_COLUMNS), fields, elements, around, strict=False
    ):
        row = {"topic": topic} if field is None else {"topic": topic, "field": field}
        row |= {
            "time": time,
            "value": show(type, number, text),
            "size": size,
            "position": position(partition, offset, element),
        }
        if id:
            row["id"] = id
        if beside:
            row["with"] = msgspec.Raw(beside.encode())
        yield row


def position(partition: int, offset: int, element: int = 0) -> str:
    """Where a message stands in the journal, and the element where it was taken apart."""
    return f"{partition}:{offset}/{element}" if element else f"{partition}:{offset}"


_RAW_COLUMNS = ("topic", "time", "type", "number", "text", "size", "partition", "offset", "id")


def texts_of(micros: Ints) -> list[str]:
    """Format many times as `to_rfc3339` does, at a fraction of its cost."""
    if not (micros % SECOND).any():
        texts = np.datetime_as_string(micros.view("M8[us]"), unit="s").tolist()
        return [text + "Z" for text in texts]
    found = []
    for text in np.datetime_as_string(micros.view("M8[us]"), unit="us").tolist():
        if text.endswith(".000000"):
            text = text[:-7]
        elif text.endswith("000"):
            text = text[:-3]
        found.append(text + "Z")
    return found


def _listed(column: pa.ChunkedArray) -> list[Any]:
    """Convert like `to_pylist`, but faster for numbers and for columns of one text."""
    if column.null_count:
        return cast(list[Any], column.to_pylist())
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return cast(list[Any], column.to_numpy().tolist())
    alike = pa.types.is_string(column.type) and pc.count_distinct(column).as_py() == 1
    if alike:
        return [column[0].as_py()] * len(column)
    return cast(list[Any], column.to_pylist())


def _tidied(column: pa.ChunkedArray) -> list[Any]:
    """Apply `tidy` to a column."""
    if column.null_count:
        return cast(list[Any], column.to_pylist())
    numbers = column.to_numpy()
    values = numbers.tolist()
    whole = (np.trunc(numbers) == numbers) & (np.abs(numbers) < _EXACT)
    for index in np.flatnonzero(whole).tolist():
        values[index] = int(values[index])
    return cast(list[Any], values)


def show(type: int, number: float, text: str) -> Any:
    """The value of a row, by its `type`, for a JSON encoder."""
    if type == _NUMBER:
        return tidy(number)
    if type == _INTEGER:
        return int(text)
    if type == _BOOLEAN:
        return number == 1
    return msgspec.Raw(one_line(text).encode()) if type == _JSON else text


def one_line(text: str) -> str:
    """JSON text without line breaks, which NDJSON could not carry."""
    if "\n" in text or "\r" in text:
        try:
            return msgspec.json.format(text, indent=-1)
        except (
            msgspec.DecodeError
        ):  # half a surrogate pair: within strings there are no line breaks
            text = text.replace("\n", " ").replace("\r", " ")
    return text.strip(_JSON_SPACE)


def _aggregates(part: pa.Table) -> Iterator[msgspec.Struct]:
    columns = {
        name: _tidied(column) if pa.types.is_floating(column.type) else _listed(column)
        for name, column in zip(part.column_names, part.columns, strict=True)
    }
    for name in ("start", "end"):
        columns[name] = texts_of(part[name].to_numpy())
    for name in _MARKS & columns.keys():
        columns[name] = columns.pop(name)  # to the end, where `_row_of` has them
    yield from map(_row_of(tuple(columns)), *columns.values())


@lru_cache(maxsize=64)
def _row_of(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """A row of these fields, made and encoded faster than a dictionary."""
    always = [name for name in names if name not in _MARKS]
    marks = [(name, bool, False) for name in names if name in _MARKS]
    return msgspec.defstruct("Row", [*always, *marks], omit_defaults=True)


# --- the formats ----------------------------------------------------------------------------------


def _json(page: Page, gaps: Sequence[Mapping[str, str]] = ()) -> Iterator[bytes]:
    policy = page.question.policy
    head = {"policy": policy.name, "keep": policy.keep}
    yield encode(head)[:-1] + b',"records":['
    separator = b""
    for piece in _pieces(rows(page)):
        yield separator + encode(piece)[1:-1]
        separator = b","
    rest = {"next_cursor": page.next_cursor} | ({"gaps": gaps} if gaps else {})
    yield b"]," + encode(rest)[1:]


def _ndjson(page: Page) -> Iterator[bytes]:
    for piece in _pieces(rows(page)):
        yield encode_lines(piece)


def _csv(page: Page, guarded: bool) -> Iterator[bytes]:
    """RFC 4180, with a header line."""
    aggregates = "start" in page.rows.column_names
    names = page.rows.column_names if aggregates else _RAW_FIELDS
    if not _has_fields(page):
        names = [name for name in names if name != "field"]
    if not aggregates and not _has_surroundings(page):
        names = [name for name in names if name != "with"]
    yield csv_lines([names])
    for piece in _pieces(rows(page)):
        named = (msgspec.to_builtins(row) for row in piece) if aggregates else piece
        without = dict.fromkeys(names, "") | dict.fromkeys(_MARKS, False)
        cells = ([_cell(row.get(name, without[name])) for name in names] for row in named)
        yield csv_lines(map(guarded_cells, cells) if guarded else cells)


def csv_lines(lines: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    if isinstance(value, list):
        return encode(value).decode()
    return value


def guarded_cells(cells: Iterable[Any]) -> list[Any]:
    """Cells that no spreadsheet runs as a formula (OWASP, "CSV Injection"). Numbers stay."""
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
        for cell in cells
    ]


def _arrow(page: Page) -> Iterator[bytes]:
    yield arrow_of(to_arrow(page))


def arrow_of(table: pa.Table) -> bytes:
    """The table as a stream of Arrow's IPC format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    return cast(bytes, sink.getvalue().to_pybytes())


def _parquet(page: Page) -> Iterator[bytes]:
    yield parquet_of(to_arrow(page))


def parquet_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return cast(bytes, sink.getvalue().to_pybytes())


_WRITERS: dict[str, Callable[[Page], Iterator[bytes]]] = {
    "json": _json,
    "ndjson": _ndjson,
    "arrow": _arrow,
    "parquet": _parquet,
}


def _pieces(found: Iterator[Any]) -> Iterator[list[Any]]:
    while piece := list(islice(found, _ROWS)):
        yield piece


def to_arrow(page: Page) -> pa.Table:
    """The page in Arrow's types: times as timestamps, numbers as float64, JSON as its text."""
    found = _shown(page)
    if "start" in found.column_names:
        for name in ("start", "end"):
            column = found[name].cast(_UTC)
            found = found.set_column(found.column_names.index(name), name, column)
        return found
    partition, offset = (found[name].cast(pa.string()) for name in ("partition", "offset"))
    id = pc.if_else(pc.equal(found["id"], ""), pa.scalar(None, pa.string()), found["id"])
    places = pc.binary_join_element_wise(partition, offset, ":")
    element = found["element"]
    if pc.any(pc.not_equal(element, 0)).as_py():
        with_element = pc.binary_join_element_wise(places, element.cast(pa.string()), "/")
        places = pc.if_else(pc.equal(element, 0), places, with_element)
    columns = {
        "time": found["time"].cast(_UTC),
        "value": _values(page),
        "position": places,
        "id": id,
    }
    if "around" in found.column_names:
        nothing = pa.scalar(None, pa.string())
        columns["with"] = pc.if_else(pc.equal(found["around"], ""), nothing, found["around"])
    names = [name for name in _RAW_FIELDS if name in columns or name in found.column_names]
    return pa.table({name: columns[name] if name in columns else found[name] for name in names})


def _values(page: Page) -> Any:
    """One type where the page holds nothing else, text otherwise (a policy's type may change)."""
    found = page.rows
    types = set(pc.unique(found["type"]).to_pylist()) or {TYPES[page.question.policy.type]}
    if types == {_NUMBER}:
        return found["number"]
    if types == {_INTEGER}:
        return found["text"].cast(pa.int64())
    if types == {_BOOLEAN}:
        return found["number"].cast(pa.bool_())
    if not types & {_NUMBER, _BOOLEAN}:
        return found["text"]
    triples = zip(*(found[name].to_pylist() for name in ("type", "number", "text")), strict=True)
    texts = [
        str(_cell(show(kind, number, text))) if kind in (_NUMBER, _BOOLEAN) else text
        for kind, number, text in triples
    ]
    return pa.array(texts, pa.string())
