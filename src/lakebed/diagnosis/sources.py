"""What is said of the messages of sources that are not stored."""

from collections.abc import Iterator
from typing import Any

from lakebed.diagnosis.finding import Finding, note

_SHOWN = 5  # examples in one line
_ADVICE = {
    "unknown": "make the unit (its uuid or name is in the topic), or stop the device",
    "blocked": "unblock the unit, or its owner",
    "no_unit": "add a pattern to the source's topic, or subscribe to less",
    "over_limit": "raise the unit's limit, let it park, or have it send less",
}


def of_source(source: dict[str, Any]) -> Iterator[Finding]:
    """Findings about a source of `GET /api/v1/sources`."""
    for reason, count in source["not_stored"].items():
        topics = [one["topic"] for one in source["examples"] if one["reason"] == reason]
        examples = f", the latest: {', '.join(topics[:_SHOWN])}" if topics else ""
        text = f"{count} messages were acknowledged and not stored ({reason}){examples}"
        yield note(f"source {source['name']}", text, _ADVICE[reason])
