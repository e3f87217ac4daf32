"""Decodes InfluxDB's line protocol: each field of a line becomes a message.

    plant,host=a,room=1 celsius=21.5,state="on" 1769860800000000000
    └ measurement       └ fields                └ time, in the precision of the request
          └ tags

    plant/a/1/celsius   21.5
    plant/a/1/state     on

The grammar is that of InfluxDB 1 and 2: a backslash escapes a comma, an equals sign or a space
in names and tag values, and a double quote or a backslash in a string; elsewhere it stands for
itself. A string may hold newlines. A line is taken whole or not at all.
"""

import re
from typing import NamedTuple, TypeAlias, cast

from lakebed.http.problems import TooLarge
from lakebed.sources.http.ndjson import MOST_LINES, Decoded, Sender
from lakebed.sources.http.plain_lines import LONGEST_LINE, MOST_FIELDS, decode_lines
from lakebed.vocabulary.errors import Denied, show
from lakebed.vocabulary.messages import Channel
from lakebed.vocabulary.time_parsing import SENT_TIMES, Unit, parse_time
from lakebed.vocabulary.times import LATEST, Micros
from lakebed.vocabulary.times import UNSET as NO_TIME
from lakebed.vocabulary.topic_templates import fill, level, tag_levels

PRECISIONS: dict[str, tuple[Unit, int]] = {
    "ns": ("ns", 1), "n": ("ns", 1), "us": ("us", 1), "u": ("us", 1), "µ": ("us", 1),
    "ms": ("ms", 1), "s": ("s", 1), "m": ("s", 60), "h": ("s", 3600),
}  # fmt: skip
"""Unit of a time in each precision, and by what it is multiplied."""

_MICROS = {"ns": (1, 1000), "us": (1, 1), "ms": (1000, 1), "s": (1_000_000, 1)}

_NAME = rb"(?:[^\\,= \n]|\\[,= ]|\\)++"
_HEAD = re.compile(rb"((?:[^\\, \n]|\\[, ]|\\)++)((?:,%b=%b)*+) ++" % (_NAME, _NAME))
_TAG = re.compile(rb",(%b)=(%b)" % (_NAME, _NAME))
_FIELD = re.compile(rb'(%b)=("(?:[^"\\]|\\.)*+"|[^", \n]++)(,|(?= |\Z))' % _NAME, re.DOTALL)
_TIME = re.compile(rb" *+(-?[0-9]{1,20})? *+\Z")
_LINE = re.compile(rb'(?:[^\\ \n]|\\ |\\)*+ ++(?:="(?:[^"\\]|\\.)*+"|[^\n])*+|[^\n]*+', re.DOTALL)
"""A line with the strings in its fields. A quote that nothing closes is a character."""
_NUMBER = re.compile(rb"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?\Z")
_INTEGER = re.compile(rb"([+-]?[0-9]{1,20})([iu])\Z")
_BOOLEANS = {
    **dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), b"true"),
    **dict.fromkeys((b"f", b"F", b"false", b"False", b"FALSE"), b"false"),
}
_ESCAPED = re.compile(rb"\\([,= ])")
_ESCAPED_IN_MEASUREMENT = re.compile(rb"\\([, ])")
_ESCAPED_IN_STRING = re.compile(rb'\\(["\\])')
_REMEMBERED = 10_000  # fields of series whose channels are cached,
_LONGEST_REMEMBERED = 1024  # and bytes of the names of each
_INT64, _UINT64 = range(-(2**63), 2**63), range(2**64)

Topics: TypeAlias = dict[tuple[bytes, bytes], Channel]


class Way(NamedTuple):
    """How a request's lines are read.

    Attributes:
        sender: who sends them.
        template: of topics; valid.
        precision: a key of `PRECISIONS`.
        topics: the channels of series and fields; a cache of this sender and template.
    """

    sender: Sender
    template: str
    precision: str
    topics: Topics


def decode(body: bytes, way: Way) -> Decoded:
    """The messages of a body, and the lines that are rejected.

    Raises:
        TooLarge: it holds more than MOST_LINES lines or fields.
    """
    if body.count(b"\n") > MOST_LINES:
        raise _too_many()
    found, at, number = Decoded(), 0, 1
    unit, multiple = PRECISIONS[way.precision]
    factor, divisor = _MICROS[unit]
    special = b"\\" in body or b'"' in body
    while at < len(body):
        start = at
        at = decode_lines(
            body, at, special, way.topics, factor * multiple, divisor, LATEST, NO_TIME,
            way.sender.limit, MOST_LINES, found.channels, found.payloads, found.events,
        )  # fmt: skip
        number += body.count(b"\n", start, at)
        if at < len(body):
            start, (line, at) = at, _next_line(body, at)
            _take(found, line, number, way)
            number += body.count(b"\n", start, at)
    found.ids = [""] * len(found.payloads)
    return found


def _take(found: Decoded, line: bytes, number: int, way: Way) -> None:
    """Take a line that may be anything; a blank one and a comment are nothing."""
    if not line or line.startswith(b"#"):
        return
    try:
        fields, event = _read(line, way)
    except (ValueError, Denied) as error:
        found.reject(number, _named(error))
        return
    if len(found.payloads) + len(fields) > MOST_LINES:
        raise _too_many()
    for channel, payload in fields:
        found.take(channel, payload, event, "")


def _named(error: Exception) -> Exception:
    return ValueError("it is not UTF-8") if isinstance(error, UnicodeDecodeError) else error


def _too_many() -> TooLarge:
    return TooLarge("body", f"it holds more than {MOST_LINES} lines or fields: send it in pieces")


def _next_line(body: bytes, start: int) -> tuple[bytes, int]:
    """The line that begins at `start`, without blanks before it, and where the next one begins."""
    stop = body.find(b"\n", start)
    stop = len(body) if stop < 0 else stop
    line = body[start:stop].lstrip(b" \t\r\0")
    if line and line[:1] != b"#" and b'"' in line:
        start = stop - len(line)
        stop = cast(re.Match[bytes], _LINE.match(body, start)).end()
        line = body[start:stop]
    return line.removesuffix(b"\r"), stop + 1


def _read(line: bytes, way: Way) -> tuple[list[tuple[Channel, bytes]], Micros]:
    """Channel and payload of each field, and the time."""
    if len(line) > LONGEST_LINE:
        raise ValueError(f"it is longer than {LONGEST_LINE} bytes")
    head = _HEAD.match(line)
    if head is None:
        raise ValueError("it does not begin with MEASUREMENT,TAG=VALUE and a space")
    series = line[: head.end(2)]
    fields: list[tuple[Channel, bytes]] = []
    at, more = head.end(), True
    while more:
        field = _FIELD.match(line, at)
        if field is None:
            raise ValueError(f"there is no field NAME=VALUE at {show(line[at:].decode())}")
        if len(fields) == MOST_FIELDS:
            raise ValueError(f"it has more than {MOST_FIELDS} fields")
        name, value = field[1], field[2]
        channel = way.topics.get((series, name)) or _channel(head, name, way)
        fields.append((channel, way.sender.check_size(_payload(value))))
        at, more = field.end(), bool(field[3])
    return fields, _time(line, at, way.precision)


def _time(line: bytes, at: int, precision: str) -> Micros:
    time = _TIME.match(line, at)
    if time is None:
        raise ValueError(f"{show(line[at:].decode().strip())} is not a whole number that is a time")
    if time[1] is None:
        return NO_TIME
    unit, factor = PRECISIONS[precision]
    return parse_time(int(time[1]) * factor, SENT_TIMES._replace(unit=unit))


def _payload(value: bytes) -> bytes:
    """The payload of a field: a number as it is written, `true`, `false`, or the text."""
    if value[:1] == b'"':
        text = value[1:-1]
        text.decode()
        return _ESCAPED_IN_STRING.sub(rb"\1", text) if b"\\" in text else text
    if _NUMBER.match(value):
        return value
    if (boolean := _BOOLEANS.get(value)) is not None:
        return boolean
    integer = _INTEGER.match(value)
    if integer is None:
        raise ValueError(f"{show(value.decode())} is no number, boolean or string in quotes")
    if int(integer[1]) not in (_INT64 if integer[2] == b"i" else _UINT64):
        raise ValueError(f"{value.decode()} does not fit 64 bits")
    return integer[1]


# --- topics ---------------------------------------------------------------------------------------


def _channel(head: re.Match[bytes], field: bytes, way: Way) -> Channel:
    given = _TAG.findall(head[2])
    if len(given) > MOST_FIELDS:
        raise ValueError(f"it has more than {MOST_FIELDS} tags")
    tags = {_text(name): _text(value) for name, value in given}
    if len(tags) < len(given):
        raise ValueError("a tag is given twice")
    filled = {
        "MEASUREMENT": [level(_ESCAPED_IN_MEASUREMENT.sub(rb"\1", head[1]).decode())],
        "FIELD": [level(_text(field))],
        **tag_levels(way.template, tags, "TAGVALUES", "TAGS"),
    }
    channel = way.sender.channel(fill(way.template, filled))
    series = head.string[: head.end(2)]
    if len(series) + len(field) <= _LONGEST_REMEMBERED:
        if len(way.topics) >= _REMEMBERED:
            way.topics.clear()
        way.topics[series, field] = channel
    return channel


def _text(name: bytes) -> str:
    return (_ESCAPED.sub(rb"\1", name) if b"\\" in name else name).decode()
