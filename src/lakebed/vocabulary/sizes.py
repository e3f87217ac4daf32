"""Parses and formats sizes in bytes, with units."""

import re
from decimal import Decimal

_SIZES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|KiB|MiB|GiB|TiB)\Z", re.ASCII)


def parse_size(value: object) -> int:
    """Read `64KiB`, `10 GiB`, or whole bytes.

    Raises:
        ValueError: neither, or beyond int64.
    """
    match = _SIZE.match(str(value).strip())
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a size such as 64KiB, 10MiB or 2GiB")
    size = int(Decimal(match[1]) * _SIZES[match[2]])
    if size >= 2**63:
        raise ValueError(f"{value!r} is not a size that 64 bits can count")
    return size


def format_size(size: int) -> int | str:
    """The shortest way to write it exactly: `64KiB`, or whole bytes."""
    if size:
        for unit in ("TiB", "GiB", "MiB", "KiB"):
            if size % _SIZES[unit] == 0:
                return f"{size // _SIZES[unit]}{unit}"
    return size


def rounded_size(value: int) -> str:
    """Format a size, such as `532 B` or `1.4 MiB`."""
    if value < 1024:
        return f"{value} B"
    scaled = float(value)
    for unit in ("KiB", "MiB", "GiB"):
        scaled /= 1024
        if scaled < 1024:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1024:.1f} TiB"
