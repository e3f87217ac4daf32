"""Which content coding an answer gets (RFC 9110, section 12.5.3)."""

import re
from collections.abc import Sequence

PREFERRED = ("zstd", "gzip")
_ALIASES = {"x-gzip": "gzip"}
_PART = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?")
_LONGEST = 1_000  # characters that are read


def coding(accept: str, offered: Sequence[str] = PREFERRED) -> str | None:
    """The coding that the client likes best of those that are offered; None for none.

    Args:
        accept: the header `Accept-Encoding`.
        offered: of those that it likes equally, the first is chosen.
    """
    if not accept:
        return None
    weights: dict[str, float] = {}
    for part in accept[:_LONGEST].split(","):
        if (found := _PART.fullmatch(part)) is not None:
            name = found[1].lower()
            weights[_ALIASES.get(name, name)] = float(found[2] or 1)
    others = weights.get("*", 0.0)
    best = max(offered, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else None
