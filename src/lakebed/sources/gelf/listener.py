"""The format of GELF: what a listener needs of it."""

import re
from functools import lru_cache, partial
from typing import Any

import msgspec

from lakebed.sources.gelf.chunks import Chunks
from lakebed.sources.gelf.settings import GelfSection
from lakebed.sources.listening.format import Format, Message
from lakebed.sources.listening.framing import DelimitedFramer
from lakebed.vocabulary.time_parsing import SENT_TIMES, parse_time
from lakebed.vocabulary.times import UNSET, Micros
from lakebed.vocabulary.topic_templates import fill, level, tag_levels

_ENDS = re.compile(rb"\0")
_ERRORS = (msgspec.MsgspecError, RecursionError)


class _Known(msgspec.Struct):
    """The fields that say who sent a message and when; whatever their types."""

    host: Any = None
    timestamp: Any = None


_KNOWN = msgspec.json.Decoder(_Known)
_FIELDS = msgspec.json.Decoder(dict[str, Any])


def gelf(section: GelfSection) -> Format:
    """GELF messages on topics by the section's template."""
    ends = partial(DelimitedFramer, ends=_ENDS)
    return Format("gelf", ends, Chunks, partial(_read, section.topic))


def _read(template: str, raw: bytes, address: str, received: Micros) -> Message:
    raw = raw.strip()
    try:
        raw.decode()  # msgspec leaves fields unchecked that nobody asks for
        known = _KNOWN.decode(raw)
        host = known.host if isinstance(known.host, str) and known.host else address
        topic = _topic(template, host) if "{" not in template else _by_fields(template, host, raw)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except _ERRORS as error:
        raise ValueError(f"it is no JSON object: {error}") from None
    return Message(topic, raw, _time(known.timestamp))


def _time(given: object) -> Micros:
    """Of the event; `UNSET` where there is none that can be, which the document still tells."""
    if given is None:
        return UNSET
    try:
        return parse_time(given, SENT_TIMES)
    except ValueError:
        return UNSET


@lru_cache(10_000)
def _topic(template: str, host: str) -> str:
    return fill(template, {"HOST": (level(host),)})


def _by_fields(template: str, host: str, raw: bytes) -> str:
    fields = {name: _text(value) for name, value in _FIELDS.decode(raw).items()}
    return fill(template, {**tag_levels(template, fields, "", ""), "HOST": (level(host),)})


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
