"""Request bodies, read within bounds, whatever their length claims or their compression hides."""

import io
import zlib
from collections.abc import Mapping

import zstandard

from lakebed.http.asgi import Receive
from lakebed.http.problems import TooLarge, UnknownEncoding
from lakebed.vocabulary.errors import BadRequest

_ZSTD_WINDOW = 8 * 2**20  # bytes; RFC 8878 section 3.1.1.1.2 asks decoders for this much
_GZIP = 16 + zlib.MAX_WBITS


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete, so there is nobody to answer."""


async def read(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """The body, decompressed; at most `limit` bytes both before and after.

    Raises:
        TooLarge, UnknownEncoding, BadRequest: the body cannot be taken.
        ClientDisconnected: the client disconnected.
    """
    claimed = headers.get(b"content-length")
    if claimed is not None and claimed.isdigit() and int(claimed) > limit:
        raise too_large(limit)
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnected
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(receive, body, limit)
    if len(body) > limit:
        raise too_large(limit)
    encoding = headers.get(b"content-encoding")
    return body if encoding is None else decompress(body, encoding.decode("latin-1"), limit)


async def _rest(receive: Receive, first: bytes, limit: int) -> bytes:
    pieces, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientDisconnected
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise too_large(limit)
        if not message.get("more_body", False):
            return b"".join(pieces)


def too_large(limit: int) -> TooLarge:
    return TooLarge("body", f"it is longer than the {limit} bytes that are allowed")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding, never producing more than a little over `limit` bytes."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    try:
        if name in ("gzip", "x-gzip"):
            plain = _gunzip(body, limit)
        elif name == "zstd":
            plain = _unzstd(body, limit)
        else:
            raise UnknownEncoding("Content-Encoding", f"{encoding!r} is none of gzip and zstd")
    except (zlib.error, zstandard.ZstdError, EOFError):
        raise BadRequest("body", f"it is not {name}, as its Content-Encoding says") from None
    if len(plain) > limit:
        raise too_large(limit)
    return plain


def _gunzip(body: bytes, limit: int) -> bytes:
    """All members of a gzip file (RFC 1952 section 2.2)."""
    plain = bytearray()
    while body:
        member = zlib.decompressobj(_GZIP)
        plain += member.decompress(body, limit + 1 - len(plain))
        if len(plain) > limit:
            break
        if not member.eof:
            raise EOFError
        body = member.unused_data
    return bytes(plain)


def _unzstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    with decompressor.stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        plain: bytes = reader.read(limit + 1)
    if len(plain) <= limit:
        _check_complete(decompressor, body)
    return plain


def _check_complete(decompressor: zstandard.ZstdDecompressor, body: bytes) -> None:
    """Raise if a frame is cut off, which the reader does not report."""
    while body:
        frame = decompressor.decompressobj()
        frame.decompress(body)
        if not frame.eof:
            raise EOFError
        body = frame.unused_data
