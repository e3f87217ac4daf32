"""Times as people type them: absolute as everywhere in Lakebed, or relative to now."""

from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.times import Micros, now, parse_duration, parse_time, to_rfc3339


def moment(flag: str, text: str | None, clock: Micros | None = None) -> str | None:
    """`now`, `-1h`, `+10m`, RFC 3339 or epoch seconds, as RFC 3339; None stays None.

    A time before 1970 would look like a span: `-3600` is refused, `-3600s` is an hour ago.

    Raises:
        BadRequest: it is none of these; names `flag`.
    """
    if text is None:
        return None
    clock = now() if clock is None else clock
    try:
        if text == "now":
            return to_rfc3339(clock)
        if text[:1] in ("-", "+"):
            span = parse_duration(text[1:])
            return to_rfc3339(clock - span if text[0] == "-" else clock + span)
        return to_rfc3339(parse_time(text))
    except (ValueError, OverflowError):
        raise BadRequest(
            flag,
            f"{text!r} is not a time: write RFC 3339 (2026-01-31T12:00:00Z), epoch seconds, now, "
            "or a span back such as -1h",
        ) from None
