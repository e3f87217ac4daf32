"""Decodes plain lines of line protocol, with bytes, indices and list appends only.

`make install` compiles this module by mypyc where it finds a C compiler and Python's headers. That
makes it about six times as fast; uncompiled it does the same.
"""

from collections.abc import Mapping
from typing import Any

LONGEST_LINE = 2**20
"""Most bytes of a line."""

MOST_FIELDS = 1_000
"""Most fields of a line, and most tags."""

_MOST_DIGITS = 19  # of a time


def decode_lines(
    body: bytes,
    at: int,
    special: bool,
    known: "Mapping[tuple[bytes, bytes], Any]",
    factor: int,
    divisor: int,
    latest: int,
    no_time: int,
    largest: int,
    most: int,
    channels: "list[Any]",
    payloads: "list[bytes]",
    events: "list[int]",
) -> int:
    r"""Append the messages of lines that begin at `body[at]`, up to the first that is not plain.

    A plain line is MEASUREMENT,TAGS, one space, FIELDS, and perhaps one space and a time. Not plain
    are: an unknown series or field, a backslash or a quote, a value that is no number, one of more
    than `largest` bytes, an `u` behind an integer, more than 18 digits of an integer, a time that
    is negative or out of bounds, further blanks, what is longer than LONGEST_LINE or has more than
    MOST_FIELDS, and what would make more than `most` messages.

    Args:
        special: whether there are backslashes or quotes in the body.
        known: channels by series and field, as they are written.
        factor, divisor: of a number that is a time, to microseconds.
        latest: microseconds; times below it are plain.
        no_time: the event time of lines without one.

    Returns:
        the offset of the first line that was not appended.
    """
    length = len(body)
    while at < length:
        stop = body.find(b"\n", at)
        if stop < 0:
            stop = length
        end = stop
        if end > at and body[end - 1] == 13:  # \r
            end -= 1
        head = body.find(b" ", at, end)
        if head <= at or stop - at > LONGEST_LINE:
            break
        if special and (body.find(b"\\", at, end) >= 0 or body.find(b'"', at, end) >= 0):
            break
        series = body[at:head]
        taken = len(payloads)
        place = head + 1
        plain = True
        while True:
            equals = body.find(b"=", place, end)
            if equals < 0:
                plain = False
                break
            target = known.get((series, body[place:equals]))
            if target is None:
                plain = False
                break
            start = equals + 1
            place = start
            digits = 0
            fraction = False
            # [+-] digits [. digits] [e [+-] digits], or [+-] digits i
            if place < end and (body[place] == 45 or body[place] == 43):
                place += 1
            while place < end:
                byte = body[place]
                if 48 <= byte <= 57:
                    digits += 1
                elif byte == 46 and not fraction:
                    fraction = True
                else:
                    break
                place += 1
            if digits == 0:
                plain = False
                break
            value_end = place
            if place < end:
                byte = body[place]
                if byte == 105 and not fraction and digits <= 18:  # i
                    place += 1
                elif byte == 101 or byte == 69:  # e, E
                    place += 1
                    if place < end and (body[place] == 45 or body[place] == 43):
                        place += 1
                    exponent = place
                    while place < end and 48 <= body[place] <= 57:
                        place += 1
                    if place == exponent:
                        plain = False
                        break
                    value_end = place
            count = len(payloads)
            if value_end - start > largest or count >= most or count - taken >= MOST_FIELDS:
                plain = False
                break
            channels.append(target)
            payloads.append(body[start:value_end])
            if place == end:
                break
            byte = body[place]
            place += 1
            if byte == 44:  # a further field
                continue
            plain = byte == 32
            break
        event = no_time
        if plain and place < end:
            text = body[place:end]
            if end - place > _MOST_DIGITS or not text.isdigit():
                plain = False
            else:
                event = (int(text) * factor + divisor // 2) // divisor
                plain = event < latest
        if not plain:
            del channels[taken:]
            del payloads[taken:]
            break
        for _ in range(len(payloads) - taken):
            events.append(event)
        at = stop + 1
    return at
