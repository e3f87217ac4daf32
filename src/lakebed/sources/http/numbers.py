"""Numbers as payloads."""

_SPECIAL = {"nan": b"NaN", "inf": b"+Inf", "-inf": b"-Inf"}


def written(value: float) -> bytes:
    """A number as Prometheus writes it: in the fewest digits that give the same float64."""
    text = repr(value)
    if text[-2:] == ".0":
        return text[:-2].encode()
    return _SPECIAL.get(text) or text.encode()
