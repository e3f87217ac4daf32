"""Answers that are read like files, in parts: HEAD for the length, then one range after another.

    HEAD ──> made, kept for a while ──┐
    GET with Range ───────────────────┴──> a part of the same bytes

DuckDB and others read so. Between two parts messages arrive, and parts of two answers would make
nonsense; therefore what was made for the first stays in memory until nobody has asked for a while.
An ETag, which is a hash of the bytes, tells a reader where another answer has taken its place.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import Response

from lakebed.http.entity_tags import Verdict, judge, tag_of
from lakebed.http.heads import HEAD

LARGEST = 64 * 2**20
"""Bytes of an answer that can be read in parts; and of all that are kept."""

IDLE = 60.0
"""Seconds without a request after which an answer is dropped,"""

LONGEST = 600.0
"""and after which it is dropped in any case."""

FRESH = 5.0
"""Seconds in which another HEAD is answered by the same: readers ask several times."""


@dataclass(slots=True)
class Made:
    """The whole of an answer.

    Attributes:
        headers: those of the answer, beside its tag.
    """

    body: bytes
    media_type: str
    headers: Mapping[str, str]
    rows: int
    etag: str = field(init=False)

    def __post_init__(self) -> None:
        self.etag = f'"{tag_of(self.body)}"'


@dataclass(slots=True)
class _Kept:
    made: Made
    since: float
    used: float


class FileParts:
    """What is kept of answers that are read in parts. Thread-safe.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()  # the one used last at the end

    def of(self, request: Request, key: Hashable, make: Callable[[], Made | None]) -> Made | None:
        """The answer to a request in parts.

        Args:
            key: of what is asked, and of whom.
            make: called where nothing is kept, and at a HEAD that begins another reading; None
                where the answer is too large.
        """
        begins = is_head(request)
        with self._lock:
            kept = self._found(key)
            if kept is not None and not (begins and self._clock() - kept.since > FRESH):
                kept.used = self._clock()
                return kept.made
        made = make()
        if made is not None:
            self._keep(key, made)
        return made

    def clear(self) -> None:
        """Drop all: something was deleted."""
        with self._lock:
            self._kept.clear()

    def _found(self, key: Hashable) -> _Kept | None:
        now = self._clock()
        for other, kept in list(self._kept.items()):
            if now - kept.used > IDLE or now - kept.since > LONGEST:
                del self._kept[other]
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def _keep(self, key: Hashable, made: Made) -> None:
        now = self._clock()
        with self._lock:
            self._kept[key] = _Kept(made, now, now)
            self._kept.move_to_end(key)
            while sum(len(kept.made.body) for kept in self._kept.values()) > LARGEST:
                self._kept.popitem(last=False)


def is_head(request: Request) -> bool:
    return HEAD in request.scope


def is_in_parts(request: Request) -> bool:
    """Whether a request asks for a part of an answer, or for its length."""
    return is_head(request) or "range" in request.headers


def joined(pieces: Iterator[bytes]) -> bytes | None:
    """All of an answer; None if it is too large to be read in parts."""
    found: list[bytes] = []
    size = 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > LARGEST:
            return None
    return b"".join(found)


def answer(request: Request, made: Made, sent: Callable[[int, int], None]) -> Response:
    """The answer; `http.conditional` takes the part out of it.

    Args:
        sent: called with the rows and the bytes that leave; of a part, with as many of the rows.
    """
    if not is_head(request):
        verdict = _verdict(request, made)
        sent(made.rows * verdict.size // max(len(made.body), 1), verdict.size)
    headers = {**made.headers, "Accept-Ranges": "bytes", "ETag": made.etag}
    return Response(made.body, media_type=made.media_type, headers=headers)


def _verdict(request: Request, made: Made) -> Verdict:
    headers = dict(request.headers.raw)
    return judge(headers, made.etag.encode(), len(made.body), ranges=True)
