"""The newest picture of a topic, as what its bytes are and never as what its sender calls it."""

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import Micros, now
from lakebed.web.page import View
from lakebed.web.tile_policies import Range, last_of, newest_of, policy_of, reader_of


@dataclass(frozen=True, slots=True)
class Picture:
    """Attributes:
    media: one of `_MAGIC`; never what the sender says.
    """

    media: str
    data: bytes
    time: Micros


_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def picture_of(view: View, tile: Mapping[str, Any]) -> Picture | None:
    """The newest picture of a tile; None where nothing was kept yet.

    Raises:
        BadRequest: the newest value is no picture.
        Denied: the reader may not read its topic.
    """
    (topic,) = tile["topics"]
    reader = reader_of(view, [topic])
    if found := last_of(view, reader, tile):
        newest = max(found, key=lambda value: value.time)
        return _decoded(newest.value, newest.time)
    policy = policy_of(view, reader, tile, Range("1h", 0, now()))
    rows = newest_of(view, policy, [topic], 1)
    return _decoded(rows[0].get("value"), rows[0]["time"]) if rows else None


def _decoded(value: object, time: Micros) -> Picture:
    text = value.strip().strip('"') if isinstance(value, str) else ""
    if text.startswith("data:image/"):
        text = text.partition(";base64,")[2]
    try:
        data = b64decode(text, validate=True)
    except (NotBase64, ValueError):
        data = b""
    media = next((kind for start, kind in _MAGIC.items() if data.startswith(start)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        media = "image/webp"
    if not media:
        raise BadRequest("topics", "the newest value is no PNG, JPEG, GIF or WebP as Base64")
    return Picture(media, data, time)
