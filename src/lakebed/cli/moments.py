"""Times on the command line: absolute as everywhere in Lakebed, or relative to now."""

from lakebed.vocabulary.errors import BadRequest
from lakebed.vocabulary.time_parsing import YEARS, Bounds, in_bounds, parse_time
from lakebed.vocabulary.times import MINUTE, Micros, now, parse_duration, to_rfc3339

TOLERANCE = 5 * MINUTE
"""By how much the clock of a device may be fast before it is worth a word."""

SECONDS = YEARS._replace(unit="s")
"""For the ends of a deletion: what must not be misread is not guessed."""


def moment(
    flag: str, text: str | None, clock: Micros | None = None, allowed: Bounds = YEARS
) -> str | None:
    """Convert `now`, `-1h`, `+10m`, RFC 3339 or a number since 1970 to RFC 3339; None stays None.

    A negative number is refused, as it could be a time before 1970 or a span. `-3600s` is an hour
    ago.

    Raises:
        BadRequest: it is none of these; names `flag`.
    """
    if text is None:
        return None
    try:
        return to_rfc3339(_micros(text, now() if clock is None else clock, allowed))
    except ValueError as error:
        raise BadRequest(flag, f"{error}; or write now, or a span back such as -1h") from None


def _micros(text: str, clock: Micros, allowed: Bounds) -> Micros:
    if text == "now":
        return clock
    if text[:1] not in ("-", "+"):
        return parse_time(text, allowed)
    span = parse_duration(text[1:])
    return in_bounds(clock - span if text[0] == "-" else clock + span, text)
