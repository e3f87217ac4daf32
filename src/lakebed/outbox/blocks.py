"""What a block of the outbox holds, and its bytes: an Arrow stream, compressed by LZ4.

    shape      rows
    records    values as they were kept
    values     last values, the newest of each series
    windows    names of windows, without what was computed: a window may have several fragments,
               so whoever passes it on asks the series for the whole

`place` is the number of a row within its block. Places are missing once rows were erased.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from lakebed.kinds.columns import plain
from lakebed.ports.catalog.outbox import OutboxBlock, Stream
from lakebed.ports.erasure import Erasure
from lakebed.vocabulary.times import SECOND, Micros
from lakebed.vocabulary.topics import is_wildcard, matches

Shape = Literal["records", "values", "windows"]

COLUMNS: dict[Shape, tuple[str, ...]] = {
    "records": (
        "topic", "field", "element", "time", "partition", "offset", "type", "number", "text", "id",
        "around",
    ),
    "windows": ("topic", "field", "start", "end", "complete"),
}  # fmt: skip
COLUMNS["values"] = COLUMNS["records"]

MOST_ROWS = 10_000
"""Rows of one block,"""

MOST_BYTES = 4 * 2**20
"""and about the bytes of one, before they are compressed."""

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, slots=True)
class Noted:
    """Rows of one shape.

    Attributes:
        version: of the policy that gave them.
        rows: columns out of `COLUMNS`, those that all rows have in their default left out; and,
            once they are read from a block, `place`.
    """

    shape: Shape
    version: int
    rows: pa.Table

    def blocks(self, stream: Stream, at: Micros) -> Iterator[OutboxBlock]:
        """Yield the rows in blocks that are small enough to be read at once."""
        n = len(self.rows)
        step = max(1, min(MOST_ROWS, MOST_BYTES * n // max(self.rows.nbytes, 1)))
        for start in range(0, n, step):
            piece = self.rows.slice(start, step)
            places = plain(np.arange(len(piece), dtype=np.int32))
            encoded = _encode(Noted(self.shape, self.version, piece.append_column("place", places)))
            yield OutboxBlock(stream, len(piece), at, encoded)

    def without(self, wanted: Erasure) -> "Noted":
        """The same without what a request deletes."""
        topics = self.rows["topic"].combine_chunks().dictionary_encode()
        named = [_matches(wanted.topic, topic) for topic in topics.dictionary.to_pylist()]
        ours = np.array(named, np.bool_)[topics.indices.to_numpy()] if named else np.zeros(0, bool)
        column, unit = ("start", SECOND) if self.shape == "windows" else ("time", 1)
        moments = self.rows[column].cast(pa.int64()).to_numpy() * unit
        if wanted.start is not None:
            ours &= moments >= wanted.start
        if wanted.end is not None:
            ours &= moments < wanted.end
        if not ours.any():
            return self
        return Noted(self.shape, self.version, self.rows.filter(pa.array(~ours)))


def _encode(noted: Noted) -> bytes:
    about = {"shape": noted.shape, "version": str(noted.version)}
    rows = noted.rows.unify_dictionaries().replace_schema_metadata(about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=_OPTIONS) as writer:
        writer.write_table(rows.combine_chunks())
    return cast(bytes, sink.getvalue().to_pybytes())


def decode(block: OutboxBlock) -> Noted:
    """What a block holds."""
    with pa.ipc.open_stream(block.state) as reader:
        rows = reader.read_all()
    about = rows.schema.metadata
    return Noted(about[b"shape"].decode(), int(about[b"version"]), rows.replace_schema_metadata())


def replaced(block: OutboxBlock, noted: Noted) -> OutboxBlock:
    """The block with fewer rows under the numbers that they had."""
    return OutboxBlock(block.stream, block.records, block.at, _encode(noted), block.first)


def _matches(filter: str, topic: str) -> bool:
    return matches(filter, topic) if is_wildcard(filter) else filter == topic
