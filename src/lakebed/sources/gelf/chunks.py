"""Puts the chunks of GELF messages together, and decompresses them.

    1e 0f │ id, 8 bytes │ number │ count │ piece      a chunk; up to 128, in any order
    1f 8b … gzip    78 … zlib    { … plain

Count, bytes and age of messages that wait for chunks are bounded; what is given up is counted.
"""

import zlib

from lakebed.sources.listening.format import Cut, Frame, too_long

WAIT = 5.0
"""Seconds in which all chunks of a message must come, as the specification says."""

MOST_CHUNKS = 128
"""Of a message, as the specification says."""

MOST_PENDING = 1_000
"""Messages that wait for chunks,"""

MOST_BYTES = 16 * 2**20
"""and their bytes, at one time. Beyond either the oldest is given up."""

_MAGIC = b"\x1e\x0f"
_HEAD = 12
_GZIP = b"\x1f\x8b"
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class _Pending:
    """A message of which chunks are missing."""

    __slots__ = ("began", "count", "pieces", "size")

    def __init__(self, began: float, count: int) -> None:
        self.began, self.count, self.size = began, count, 0
        self.pieces: dict[int, bytes] = {}


class Chunks:
    """
    Args:
        longest: bytes of a message, compressed or not.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._pending: dict[tuple[str, bytes], _Pending] = {}  # the oldest first
        self._bytes = 0
        self._given_up = 0

    def take(self, datagram: bytes, sender: str, clock: float) -> Frame | None:
        if datagram[:2] != _MAGIC:
            return decompress(datagram, self._longest)
        if len(datagram) < _HEAD or not datagram[10] < datagram[11] <= MOST_CHUNKS:
            text = f"a chunk has an id, a number, and a count of at most {MOST_CHUNKS}"
            return Cut("bad_request", text, datagram[:_HEAD], len(datagram))
        self._give_up_old(clock)
        key, number, count = (sender, datagram[2:10]), datagram[10], datagram[11]
        pending = self._pending.get(key)
        if pending is None or pending.count != count:
            if pending is not None:
                self._give_up(key)
            pending = self._pending[key] = _Pending(clock, count)
        if number in pending.pieces:
            return None
        piece = datagram[_HEAD:]
        pending.pieces[number] = piece
        pending.size += len(piece)
        self._bytes += len(piece)
        if pending.size > self._longest:
            self._remove(key)
            return too_long(datagram[:_HEAD], pending.size, self._longest)
        if len(pending.pieces) == count:
            self._remove(key)
            whole = b"".join([pending.pieces[i] for i in range(count)])
            return decompress(whole, self._longest)
        while len(self._pending) > MOST_PENDING or self._bytes > MOST_BYTES:
            self._give_up(next(iter(self._pending)))
        return None

    def expire(self, clock: float) -> int:
        self._give_up_old(clock)
        given_up, self._given_up = self._given_up, 0
        return given_up

    def _give_up_old(self, clock: float) -> None:
        while self._pending:
            key, oldest = next(iter(self._pending.items()))
            if oldest.began + WAIT > clock:
                return
            self._give_up(key)

    def _give_up(self, key: tuple[str, bytes]) -> None:
        self._given_up += 1
        self._remove(key)

    def _remove(self, key: tuple[str, bytes]) -> None:
        self._bytes -= self._pending.pop(key).size


def decompress(raw: bytes, longest: int) -> Frame:
    """What a message says, if it has at most `longest` bytes."""
    if raw[:2] != _GZIP and not (raw[:1] == b"\x78" and int.from_bytes(raw[:2], "big") % 31 == 0):
        return raw if len(raw) <= longest else too_long(raw, len(raw), longest)
    stream = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        found = stream.decompress(raw, longest + 1)
    except zlib.error as error:
        return Cut("bad_request", f"it cannot be decompressed: {error}", raw, len(raw))
    if len(found) > longest:
        return too_long(found, len(found), longest)
    if not stream.eof:
        return Cut("bad_request", "its compressed bytes end too early", raw, len(raw))
    return found
