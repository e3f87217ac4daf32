"""Decompresses the block format of snappy, within bounds.

The format: https://github.com/google/snappy/blob/main/format_description.txt
"""

import cramjam

from lakebed.http.bodies import too_large
from lakebed.vocabulary.errors import BadRequest

_MOST_FOLD = 22
"""No block is longer than this many times its encoding: 3 bytes stand for at most 64."""


def decompress(block: bytes, limit: int) -> bytes:
    """The content of a block, which claims its length before it is allocated.

    Raises:
        TooLarge: it is longer than `limit` bytes.
        BadRequest: it is no block.
    """
    try:
        claimed = cramjam.snappy.decompress_raw_len(block)
        if claimed > limit:
            raise too_large(limit)
        if claimed > _MOST_FOLD * len(block):
            raise _none()
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        raise _none() from None


def _none() -> BadRequest:
    return BadRequest("body", "it is not a block of snappy, which remote write asks for")
