"""Sends answers of rows, which may be small or large."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from lakebed.api import file_parts
from lakebed.api.file_parts import Made

_WHOLE = 2**20  # bytes of an answer that are made before the first is sent


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer of records, in pieces."""

    pieces: Iterator[bytes]
    media_type: str
    headers: dict[str, str]
    rows: int


def send(request: Request, asked: Asked, sent: Callable[[int, int], None]) -> Response:
    """Send a small answer as a whole: each streamed chunk would switch threads twice.

    Args:
        sent: called with the rows, and the bytes of the body.
    """
    media, headers = asked.media_type, asked.headers
    ready: list[bytes] = []
    for piece in asked.pieces:
        ready.append(piece)
        if sum(map(len, ready)) > _WHOLE:
            whole = _measured(chain(ready, asked.pieces), partial(sent, asked.rows))
            return StreamingResponse(whole, media_type=media, headers=headers)
    made = Made(b"".join(ready), media, headers, asked.rows)
    return file_parts.answer(request, made, sent)


def uncounted(rows: int, size: int) -> None:
    """Nothing is sent of a body that HEAD asks about."""


def _measured(pieces: Iterable[bytes], sent: Callable[[int], None]) -> Iterator[bytes]:
    """Pass pieces on, and tell their bytes at the end, also where a reader leaves before it."""
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            yield piece
    finally:
        sent(size)
