"""Templates of topics, by which what has names, tags or a host becomes topics.

    MEASUREMENT/TAGVALUES/FIELD  ──fill──>  cpu/cpu0/host-a/usage_idle

Levels in capitals that a template knows stand for what a message says, `{NAME}` for the value of
one tag, others for themselves.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from lakebed.vocabulary.topics import check_topic


class Words(NamedTuple):
    """The levels that stand for something else in the templates of one source.

    Attributes:
        known: each may occur once.
        needed: these must.
    """

    known: tuple[str, ...]
    needed: tuple[str, ...] = ()


LINE_PROTOCOL: Final = "MEASUREMENT/TAGVALUES/FIELD"
"""The topic of a field of InfluxDB's line protocol, where nothing else is asked for."""

LINE_PROTOCOL_WORDS: Final = Words(("MEASUREMENT", "TAGVALUES", "TAGS", "FIELD"), ("FIELD",))

REMOTE_WRITE: Final = "NAME/LABELVALUES"
"""The topic of a series of Prometheus, where nothing else is asked for."""

REMOTE_WRITE_WORDS: Final = Words(("NAME", "LABELVALUES", "LABELS"), ("NAME",))

OTLP_METRICS: Final = "{service.name}/NAME/ATTRIBUTEVALUES"
"""The topic of a data point of OpenTelemetry, where nothing else is asked for."""

OTLP_METRICS_WORDS: Final = Words(("NAME", "ATTRIBUTEVALUES", "ATTRIBUTES"), ("NAME",))

OTLP_LOGS: Final = "logs/{service.name}/SEVERITY"
"""The topic of a log record of OpenTelemetry, where nothing else is asked for."""

OTLP_LOGS_WORDS: Final = Words(("SEVERITY", "SCOPE", "EVENT"))

CLOUDEVENTS: Final = "events/TYPE/SOURCE/SUBJECT"
"""The topic of a CloudEvent, where nothing else is asked for."""

CLOUDEVENTS_WORDS: Final = Words(("TYPE", "SOURCE", "SUBJECT"))

NONE: Final = "-"
"""The level of a tag that a message does not have, or that is empty."""

SYSLOG: Final = "syslog/HOST/APP"
SYSLOG_WORDS: Final = Words(("HOST", "APP", "FACILITY", "SEVERITY"))

GELF: Final = "gelf/HOST"
GELF_WORDS: Final = Words(("HOST",))

SPARKPLUG: Final = "GROUP/NODE/DEVICE/METRIC"
SPARKPLUG_WORDS: Final = Words(("GROUP", "NODE", "DEVICE", "METRIC"), ("METRIC",))

BUS: Final = "bus/NAME"
"""The topic of an event of a bus, where nothing else is asked for."""

BUS_WORDS: Final = Words(("NAME",))

KAFKA: Final = "kafka/TOPIC"
"""The topic of a record of Kafka, where nothing else is asked for."""

KAFKA_WORDS: Final = Words(("TOPIC", "PARTITION", "KEY"))

_FORBIDDEN = re.compile("[%/+#$\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def check_template(template: str, words: Words = LINE_PROTOCOL_WORDS) -> str:
    """The same template.

    Raises:
        ValueError: it is not one.
    """
    levels = template.split("/")
    missing = any(levels.count(word) != 1 for word in words.needed)
    if missing or any(levels.count(word) > 1 for word in words.known):
        others = [word for word in words.known if word not in words.needed]
        must = f"has the level {', '.join(words.needed)}, and " if words.needed else ""
        raise ValueError(f"a template {must}may have {' and '.join(others)}, each once")
    check_topic(template)
    return template


def fill(template: str, found: Mapping[str, Sequence[str]]) -> str:
    """The topic of what was found: one or more levels for each word, which `level` has made."""
    return "/".join([one for word in template.split("/") for one in found.get(word, (word,))])


def names_in(template: str) -> list[str]:
    """The tags that a template names as `{NAME}`."""
    return [one[1:-1] for one in template.split("/") if one[:1] == "{" and one[-1:] == "}"]


def tag_levels(
    template: str,
    tags: Mapping[str, str],
    values: str = "",
    pairs: str = "",
    more: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, list[str]]:
    """The levels for `fill` that tags, labels or attributes stand for.

    Args:
        values: the word for the values of all tags that the template does not name as `{NAME}`, in
            the order of their names; a level for each. Empty for none.
        pairs: the same with the names: `NAME=VALUE`.
        more: other tags that the template may name.
    """
    named = names_in(template)
    rest = sorted(tags.keys() - named)
    found = {
        **{f"{{{one}}}": [level(tags.get(one) or more.get(one, "")) or NONE] for one in named},
        values: [level(tags[name]) or NONE for name in rest],
        pairs: [level(f"{name}={tags[name]}") for name in rest],
    }
    found.pop("", None)  # a level that is empty is itself
    return found


def level(text: str) -> str:
    """A level of a topic: characters that it may not hold are percent-encoded."""
    return _FORBIDDEN.sub(_percent, text)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())
