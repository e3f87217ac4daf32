"""The check of a running server's sources: messages of units that nobody knows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lakebed.cli.finding import Finding, note
from lakebed.vocabulary.errors import Denied, NotFound

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_SHOWN = 5  # examples in one line
_ADVICE = {
    "unknown": "make the unit (its uuid or name is in the topic), or stop the device",
    "blocked": "unblock the unit, or its owner",
    "no_unit": "add a pattern to the source's topic, or subscribe to less",
    "over_limit": "raise the unit's limit, let it park, or have it send less",
}


def not_stored(server: "Server") -> Iterator[Finding]:
    """Findings about `GET /api/v1/sources`."""
    try:
        found = server.get("/api/v1/sources")
    except (Denied, NotFound):
        return  # that admins alone are told is said where the journal is asked
    for source in found["sources"]:
        yield from _of_source(source)


def _of_source(source: dict[str, Any]) -> Iterator[Finding]:
    for reason, count in source["not_stored"].items():
        topics = [one["topic"] for one in source["examples"] if one["reason"] == reason]
        examples = f", the latest: {', '.join(topics[:_SHOWN])}" if topics else ""
        text = f"{count} messages were acknowledged and not stored ({reason}){examples}"
        yield note(f"source {source['name']}", text, _ADVICE[reason])
