"""The format of syslog: what a listener needs of it."""

import re
from functools import lru_cache, partial

import msgspec

from lakebed.sources.listening.format import Format, Message, Whole
from lakebed.sources.listening.framing import DelimitedFramer
from lakebed.sources.syslog.parsing import parse
from lakebed.sources.syslog.settings import SyslogSection
from lakebed.vocabulary.times import Micros
from lakebed.vocabulary.topic_templates import NONE, fill, level

_ENDS = re.compile(rb"[\n\0]")
_ENCODER = msgspec.json.Encoder()


def syslog(section: SyslogSection) -> Format:
    """Syslog messages on topics by the section's template."""
    return Format(
        "syslog",
        partial(DelimitedFramer, ends=_ENDS, counted=True),
        lambda _: Whole(),
        partial(_read, section.topic, section.time_zone),
    )


def _read(template: str, zone: str, raw: bytes, address: str, received: Micros) -> Message:
    parsed, time = parse(raw, received, zone)
    host = parsed.host or address
    topic = _topic(template, host, parsed.app, parsed.facility, parsed.severity)
    return Message(topic, _ENCODER.encode(parsed), time)


@lru_cache(10_000)
def _topic(template: str, host: str, app: str, facility: str, severity: str) -> str:
    words = {
        "HOST": (level(host),),
        "APP": (level(app) or NONE,),
        "FACILITY": (facility,),
        "SEVERITY": (severity,),
    }
    return fill(template, words)
