"""Parses syslog messages: RFC 5424, RFC 3164, and what devices send instead.

    <34>1 2026-01-31T12:00:00.003Z host su 77 ID47 [a@1 k="v"] text      RFC 5424
    <34>Jan 31 12:00:00 host su[77]: text                                RFC 3164 section 4.1
    text                                                                 section 4.3.3

Everything is a message: what has no header is text of `user.notice`, as section 4.3.3 says. RFC
3164 tells what was seen of the BSD protocol, and devices differ more, so its fields are guesses.
"""

import re
from typing import Any

import msgspec

from lakebed.vocabulary.time_parsing import SENT_TIMES, from_bsd, in_bounds, parse_time
from lakebed.vocabulary.times import UNSET, Micros

SEVERITIES = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"]
FACILITIES = [
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp", "ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
]

_NOTICE = 13  # user.notice
_PRIORITY = re.compile(r"<(\d{1,3})>", re.ASCII)
_HEADER = re.compile(r"1 (\S{1,64}) (\S{1,255}) (\S{1,128}) (\S{1,128}) (\S{1,64})(?: |\Z)")
_PARAM = r' +([^ =\]"]++)="((?:[^"\\]|\\.)*+)"'
_ELEMENT = re.compile(rf'\[([^ =\]"]++)((?:{_PARAM})*+) *\]', re.DOTALL)
_PARAMS = re.compile(_PARAM, re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\\]])')
_BSD_TIME = re.compile(
    r"(?:\d{1,10}: )?[*.]?([A-Z][a-z]{2} {1,2}\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?)"
    r":?(?: |\Z)",
    re.ASCII,
)
"""Cisco writes a number before it, and an asterisk where the clock may be wrong."""
_ISO_TIME = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S{0,32})(?: |\Z)", re.ASCII)
_HOST = re.compile(r"([^\s:\[\]]{1,255}|[0-9a-fA-F:.]{3,45}) ")
_TAG = re.compile(r"([^\s:\[\]]{1,128})(?:\[([^\]\s]{0,128})\])?:(?: |\Z)")
_NIL = "-"


class Parsed(msgspec.Struct, omit_defaults=True):
    """A message, as it is stored.

    Attributes:
        severity, severity_code, facility, facility_code: of its priority.
        host: who sent it, as it says.
        app, pid, msgid: APP-NAME or the tag, PROCID, MSGID.
        message: its text.
        data: parameters of its structured data by SD-ID; one that is given several times is a list.
        time: as it was sent, where it cannot be read.
    """

    severity: str
    severity_code: int
    facility: str
    facility_code: int
    host: str = ""
    app: str = ""
    pid: str = ""
    msgid: str = ""
    message: str = ""
    data: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    time: str = ""


def parse(raw: bytes, received: Micros, zone: str) -> tuple[Parsed, Micros]:
    """Return the message and its event time, which is `UNSET` where it says none.

    Args:
        zone: of times without one.
    """
    text = _text(raw.rstrip(b"\r\n\0"))
    priority = _PRIORITY.match(text)
    code = _NOTICE
    if priority is not None and int(priority[1]) < 8 * len(FACILITIES):
        code, text = int(priority[1]), text[priority.end() :]
    facility, severity = divmod(code, 8)
    parsed = Parsed(SEVERITIES[severity], severity, FACILITIES[facility], facility)
    header = None if priority is None else _HEADER.match(text)
    if header is not None:
        return parsed, _read_rfc5424(parsed, header, text)
    return parsed, _read_rfc3164(parsed, text, received, zone)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# --- RFC 5424 -------------------------------------------------------------------------------------


def _read_rfc5424(parsed: Parsed, header: re.Match[str], text: str) -> Micros:
    time, *named = ("" if field == _NIL else field for field in header.groups())
    parsed.host, parsed.app, parsed.pid, parsed.msgid = named
    rest = text[header.end() :]
    if rest == _NIL or rest.startswith("- "):
        parsed.message = rest[2:]
    else:
        parsed.data, parsed.message = _structured(rest)
    parsed.message = parsed.message.removeprefix("\ufeff")
    if not time:
        return UNSET
    try:
        return parse_time(time, SENT_TIMES)
    except ValueError:
        parsed.time = time
        return UNSET


def _structured(text: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Structured data and the message behind it; what is not well-formed belongs to the message."""
    found: dict[str, dict[str, Any]] = {}
    at = 0
    while element := _ELEMENT.match(text, at):
        params = found.setdefault(element[1], {})
        for name, value in _PARAMS.findall(element[2]):
            if "\\" in value:
                value = _ESCAPED.sub(r"\1", value)
            if name not in params:
                params[name] = value
            elif isinstance(params[name], list):
                params[name].append(value)
            else:
                params[name] = [params[name], value]
        at = element.end()
    return found, text[at:].removeprefix(" ")


# --- RFC 3164 -------------------------------------------------------------------------------------


def _read_rfc3164(parsed: Parsed, text: str, received: Micros, zone: str) -> Micros:
    time = UNSET
    stamp = _BSD_TIME.match(text) or _ISO_TIME.match(text)
    if stamp is not None:
        try:
            if stamp.re is _BSD_TIME:
                time = in_bounds(from_bsd(stamp[1], received, zone), stamp[1], SENT_TIMES)
            else:
                time = parse_time(stamp[1], SENT_TIMES._replace(zone=zone))
        except ValueError:
            parsed.time = stamp[1]
        text = text[stamp.end() :]
        if _TAG.match(text) is None and (host := _HOST.match(text)):
            parsed.host, text = host[1], text[host.end() :]
    if (tag := _TAG.match(text)) is not None:
        parsed.app, parsed.pid, text = tag[1], tag[2] or "", text[tag.end() :]
    parsed.message = text
    return time
