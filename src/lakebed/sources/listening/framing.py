"""Divides the bytes of a connection into frames: by delimiters, or by counts before them.

    <34>1 … su - - -\\n<34>1 …       a newline or NUL ends a frame (RFC 6587 section 3.4.2)
    52 <34>1 … su - - -60 <34>1 …   octet counting (section 3.4.1; RFC 5425 section 4.3)

Of a frame that is too long only the beginning is kept; the rest is thrown away as it comes.
"""

import re

from lakebed.sources.listening.format import Cut, Frame, too_long

_COUNT = re.compile(rb"([1-9][0-9]{0,9}) (?=<)")
_BEGINNING_OF_COUNT = re.compile(rb"[1-9][0-9]{0,9} ?\Z")


class DelimitedFramer:
    """
    Args:
        longest: bytes of a frame.
        ends: matches one byte that ends a frame.
        counted: whether a frame that begins with a count and `<` is octet-counted.
    """

    def __init__(self, longest: int, ends: re.Pattern[bytes], *, counted: bool = False) -> None:
        self._longest = longest
        self._ends = ends
        self._counted = counted
        self._buffer = bytearray()
        self._scanned = 0  # bytes of the buffer in which no end is
        self._skip = 0  # bytes of a counted frame that is too long
        self._skipping = False  # up to the next end

    def feed(self, data: bytes) -> list[Frame]:
        self._buffer += data
        found: list[Frame] = []
        at: int | None = 0
        begins = 0
        while at is not None and at < len(self._buffer):
            at = self._step(at, found)
            begins = begins if at is None else at
        del self._buffer[:begins]
        return found

    def _step(self, at: int, found: list[Frame]) -> int | None:
        """Where the next frame begins; None where more bytes are needed."""
        if self._skip:
            skipped = min(self._skip, len(self._buffer) - at)
            self._skip -= skipped
            return at + skipped
        if self._counted and not (self._skipping or self._scanned):
            if _BEGINNING_OF_COUNT.match(self._buffer, at):
                return None
            if count := _COUNT.match(self._buffer, at):
                return self._take_counted(count.end(), int(count[1]), found)
        return self._take_delimited(at, found)

    def _take_counted(self, start: int, size: int, found: list[Frame]) -> int | None:
        stop = start + size
        if size > self._longest:
            found.append(too_long(bytes(self._buffer[start:stop]), size, self._longest))
            self._skip = size
            return start
        if len(self._buffer) < stop:
            return None
        found.append(bytes(self._buffer[start:stop]))
        return stop

    def _take_delimited(self, at: int, found: list[Frame]) -> int | None:
        end = self._ends.search(self._buffer, at + self._scanned)
        stop = len(self._buffer) if end is None else end.start()
        self._scanned = 0
        if not self._skipping and stop - at > self._longest:
            found.append(too_long(bytes(self._buffer[at:stop]), stop - at, self._longest))
            self._skipping = True
        if end is None:
            if self._skipping:
                return stop
            self._scanned = stop - at
            return None
        if not self._skipping and stop > at:
            found.append(bytes(self._buffer[at:stop]))
        self._skipping = False
        return end.end()

    def end(self) -> list[Frame]:
        """The last frame: whole without an end, as the end of a connection is one too."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        if not rest:
            return []
        if self._counted and (count := _COUNT.match(rest)):
            size, beginning = int(count[1]), rest[count.end() :]
            text = f"the connection ended after {len(beginning)} of {size} bytes of a message"
            return [Cut("cut_off", text, beginning, size)]
        return [rest]
