"""Writes pages of records to a file or a pipe, as one document.

Each writer takes the server's pages and, with `reverse`, reverses their rows. Pages are written one
by one, so memory stays small.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from lakebed.cli import exact

if TYPE_CHECKING:
    import pyarrow as pa

Writer = Callable[[Iterable[bytes], bool, BinaryIO], None]


def write_ndjson(pages: Iterable[bytes], reverse: bool, out: BinaryIO) -> None:
    for page in pages:
        lines = page.splitlines()
        out.writelines(line + b"\n" for line in (reversed(lines) if reverse else lines))


def write_json(pages: Iterable[bytes], reverse: bool, out: BinaryIO) -> None:
    """Write `{"records": […], "next_cursor": …}`, with the cursor of the last page.

    The rows have the key that they have in the pages, `records` or `events`.
    """
    cursor, between = None, b""
    for page in pages:
        document = exact.loads(page)
        key = "events" if "events" in document else "records"
        records = document[key]
        if not between:
            out.write(b'{"' + key.encode() + b'": [')
            between = b"\n"
        cursor = document.get("next_cursor")
        for record in reversed(records) if reverse else records:
            out.write(between + exact.dumps(record).encode())
            between = b",\n"
    out.write(b'\n], "next_cursor": ' + json.dumps(cursor).encode() + b"}\n")


def write_csv(pages: Iterable[bytes], reverse: bool, out: BinaryIO) -> None:
    """Write one header and all rows. Pages that are not reversed are copied as bytes."""
    for number, page in enumerate(pages):
        if reverse:
            out.write(_reversed_csv(page))
        else:
            out.write(page if number == 0 else _after_header(page))


def _after_header(page: bytes) -> bytes:
    # names of columns have no line breaks, so the header is the first line
    return page.partition(b"\n")[2]


def _reversed_csv(page: bytes) -> bytes:
    rows = list(csv.reader(io.StringIO(page.decode(), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([*rows[:1], *rows[:0:-1]])
    return text.getvalue().encode()


def write_arrow(pages: Iterable[bytes], reverse: bool, out: BinaryIO) -> None:
    import pyarrow as pa

    tables = _tables(pages, reverse, lambda page: pa.ipc.open_stream(page).read_all())
    first = next(tables)
    with pa.ipc.new_stream(out, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def write_parquet(pages: Iterable[bytes], reverse: bool, out: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = _tables(pages, reverse, lambda page: pq.read_table(pa.BufferReader(page)))
    first = next(tables)
    with pq.ParquetWriter(out, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table.cast(first.schema))


def _tables(
    pages: Iterable[bytes], reverse: bool, read: Callable[[bytes], "pa.Table"]
) -> Iterator["pa.Table"]:
    for page in pages:
        table = read(page)
        yield table.take(list(range(table.num_rows - 1, -1, -1))) if reverse else table


WRITERS: dict[str, Writer] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
    "arrow": write_arrow,
    "parquet": write_parquet,
}
