"""Finds batches in a damaged file by scanning its pages, without its B-tree.

SQLite reaches rows through pages that point to pages, so one bad pointer hides all rows behind it.
A block's CRC proves it intact, so the leaf pages of the file and of its WAL can be scanned for
rows. The formats are those of https://sqlite.org/fileformat2.html: sections 1.6 (B-tree pages and
overflow), 2.1 (records) and 4.1 (WAL).
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakebed.stores.journal import blocks
from lakebed.stores.journal.blocks import Damaged
from lakebed.stores.journal.database import PAGE, PAGES

_LEAF = 0x0D
_WAL_HEADER, _FRAME_HEADER = 32, 24
_FRAME = struct.Struct(">IIQ")  # page number, pages after a commit (or 0), both salts


@dataclass(frozen=True, slots=True)
class Row:
    """A row of `batches` whose block is intact."""

    offset: int
    count: int
    at: int
    size: int
    block: bytes


def page_size(path: Path) -> int:
    """Return the bytes of a page by the header of the file, or by its WAL if that is damaged.

    If both are damaged it is the size of new files.
    """
    for file, place, width in ((path, 16, 2), (Path(f"{path}-wal"), 8, 4)):
        if file.exists():
            with file.open("rb") as opened:
                size = int.from_bytes(opened.read(place + width)[place:], "big")
            if size in PAGES:
                return size
    return PAGE


def scan(path: Path) -> "PageScan":
    """Scan pages of the size in the header, or of another size if that finds nothing."""
    size_in_header = page_size(path)
    found = PageScan(path, size_in_header)
    for size in PAGES:
        if size != size_in_header and not found.positions():
            found.close()
            found = PageScan(path, size)
    return found


class PageScan:
    """Scans the pages of a database file and of its WAL. Close it after use.

    Args:
        page: bytes of a page.
    """

    def __init__(self, path: Path, page: int) -> None:
        self._bytes = page
        # bytes of a record in a leaf page before it overflows, and at least once it does
        self._most_local, self._least_local = page - 35, (page - 12) * 32 // 255 - 23
        self._file = os.open(path, os.O_RDONLY)
        self._count = -(-os.fstat(self._file).st_size // page)
        wal = Path(f"{path}-wal")
        self._wal = os.open(wal, os.O_RDONLY) if wal.exists() else None
        self._frames = dict(self._committed_frames())

    def close(self) -> None:
        os.close(self._file)
        if self._wal is not None:
            os.close(self._wal)

    def positions(self) -> list[tuple[int, int, bool]]:
        """The positions of intact rows: (offset, page, whether in the WAL), each offset once."""
        found = {row.offset: (row.offset, number, False) for number, row in self._rows(False)}
        found |= {row.offset: (row.offset, number, True) for number, row in self._rows(True)}
        return sorted(found.values())

    def row(self, offset: int, number: int, in_wal: bool) -> Row:
        """Read the row at a position of `positions`."""
        return next(row for row in self._leaf(number, in_wal) if row.offset == offset)

    def _rows(self, in_wal: bool) -> Iterator[tuple[int, Row]]:
        for number in list(self._frames) if in_wal else range(2, self._count + 1):
            for row in self._leaf(number, in_wal):
                yield number, row

    def _committed_frames(self) -> Iterator[tuple[int, int]]:
        """Page numbers and positions of their content, up to the last commit; later ones win."""
        waiting = []
        frames = () if self._wal is None else _frames(self._wal, self._bytes)
        for number, commit, position in frames:
            waiting.append((number, position))
            if commit:
                yield from waiting
                waiting = []

    def _page(self, number: int, in_wal: bool) -> bytes:
        if in_wal and self._wal is not None and number in self._frames:
            return os.pread(self._wal, self._bytes, self._frames[number])
        return os.pread(self._file, self._bytes, (number - 1) * self._bytes) if number > 0 else b""

    def _leaf(self, number: int, in_wal: bool) -> Iterator[Row]:
        """Find the intact rows of one page. Its header is not needed and not trusted."""
        page = self._page(number, in_wal)
        if len(page) < self._bytes or (page[0] ^ _LEAF).bit_count() > 1:
            return
        for at in range(8, self._bytes - 2, 2):
            cell = int.from_bytes(page[at : at + 2], "big")
            if not at < cell < self._bytes:
                return
            # a row of the file may continue in the WAL, and a row of the WAL in the file
            row = self._parse(page, cell, in_wal) or self._parse(page, cell, not in_wal)
            if row is not None:
                yield row

    def _parse(self, page: bytes, cell: int, in_wal: bool) -> Row | None:
        try:
            size, at = _varint(page, cell)
            offset, at = _varint(page, at)
            if size > (self._count + len(self._frames)) * self._bytes:
                return None
            local = size if size <= self._most_local else self._local(size)
            record = page[at : at + local]
            if local < size:
                record += self._overflow(page[at + local : at + local + 4], size - local, in_wal)
            return _batch(offset, record)
        except (IndexError, Damaged):
            return None

    def _overflow(self, head: bytes, size: int, in_wal: bool) -> bytes:
        parts = []
        while size > 0:
            page = self._page(int.from_bytes(head, "big"), in_wal)
            if len(page) < 5:
                raise Damaged("an overflow page is missing")
            head = page[:4]
            parts.append(page[4 : 4 + size])
            size -= len(parts[-1])
        return b"".join(parts)

    def _local(self, size: int) -> int:
        wanted = self._least_local + (size - self._least_local) % (self._bytes - 4)
        return wanted if wanted <= self._most_local else self._least_local


def wal_commits(wal: Path, page: int) -> list[int]:
    """Return the commit frames of a WAL, counted from 1, without checking their checksums.

    SQLite itself stops at the first frame with a wrong checksum and ignores those behind it.
    """
    descriptor = os.open(wal, os.O_RDONLY)
    try:
        return [
            (position - _WAL_HEADER) // (_FRAME_HEADER + page) + 1
            for _, commit, position in _frames(descriptor, page)
            if commit
        ]
    finally:
        os.close(descriptor)


def _frames(wal: int, page: int) -> Iterator[tuple[int, int, int]]:
    """Read page number, commit mark and content position of each frame of the last generation."""
    head, position = os.pread(wal, _WAL_HEADER, 0), _WAL_HEADER
    # if the header is damaged, the first frame has the generation
    salts = head[16:24] if _is_intact(head) else os.pread(wal, 8, _WAL_HEADER + 8)
    generation = int.from_bytes(salts, "big")
    while len(header := os.pread(wal, _FRAME.size, position)) == _FRAME.size:
        number, commit, salt = _FRAME.unpack(header)
        # Other salts do not end the scan: a flipped bit must not hide the frames behind it. Frames
        # of an earlier generation differ in about half of the bits.
        if (salt ^ generation).bit_count() <= 1:
            yield number, commit, position + _FRAME_HEADER
        position += _FRAME_HEADER + page


def _is_intact(head: bytes) -> bool:
    """Whether the checksum of a WAL's header is right (section 4.2)."""
    if len(head) < _WAL_HEADER:
        return False
    words = struct.unpack(">6I" if head[3] & 1 else "<6I", head[:24])
    first = second = 0
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return (first, second) == struct.unpack(">II", head[24:])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9


def _batch(offset: int, record: bytes) -> Row | None:
    """Decode a record (NULL, count, at, size, block); None if it is another or not intact."""
    edge, at = _varint(record, 0)
    kinds: list[int] = []
    while at < edge and len(kinds) < 6:
        kind, at = _varint(record, at)
        kinds.append(kind)
    if len(kinds) != 5 or kinds[0] or kinds[4] < 12 or kinds[4] % 2:
        return None
    values = []
    for kind in kinds[1:4]:
        if kind not in _WIDTHS:
            return None
        values.append(
            kind - 8
            if kind > 7
            else int.from_bytes(record[at : at + _WIDTHS[kind]], "big", signed=True)
        )
        at += _WIDTHS[kind]
    count, moment, size = values
    block = record[at : at + (kinds[4] - 12) // 2]
    return Row(offset, count, moment, size, block) if blocks.count(block) == count > 0 else None


_WIDTHS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}
"""Bytes of an integer by serial type; 8 and 9 stand for 0 and 1."""
