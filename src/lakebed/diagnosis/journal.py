"""The checks of a running server's journal: consumers that hold it, and damage."""

from collections.abc import Iterator
from typing import Any

from lakebed.diagnosis.finding import Finding, bad, note, ok

_LONG = 600.0  # seconds; a consumer that lags more gets a finding
_CROWDED = 0.5  # part of the journal's limit; above it a lag of a minute is enough


def partitions(found: dict[str, Any]) -> Iterator[Finding]:
    """Partitions that no keeper has, though something waits in them."""
    for part in found["partitions"]:
        if part["owner"] is None and part["lag"]:
            yield bad(
                f"partition {part['partition']}",
                f"no keeper has it, and about {part['lag']} messages wait",
                "start a keeper, or look again in a minute: lakebed journal show",
            )


def consumers(found: dict[str, Any]) -> Iterator[Finding]:
    """Findings about `GET /api/v1/journal`."""
    pressure = found["pressure"]
    used = 0.0 if pressure is None else float(pressure["full"])
    for consumer in found["consumers"]:
        yield _consumer(consumer, used)


def _consumer(consumer: dict[str, Any], used: float) -> Finding:
    name, behind, age = consumer["name"], consumer["behind"], consumer["age"] or 0.0
    part = f"consumer {name}"
    text = f"{behind} messages behind, the oldest of {age:.0f} s ago"
    if not consumer["live"]:
        if not behind:
            return ok(part, "nobody reads under this name, and nothing waits for it")
        advice = f"start it again, or: lakebed journal drop-consumer {name}"
        text = f"nobody reads under this name; {text}, and the journal keeps them"
        return bad(part, text, advice) if _is_serious(age, used) else note(part, text, advice)
    if not _is_serious(age, used):
        return ok(part, text if behind else "has read everything")
    held = consumer["held_by"]
    if held is None:
        return bad(part, f"does not advance: {text}", "see the log of the process that reads there")
    return (bad if used > _CROWDED else note)(
        part,
        f"{text}, held by {held}",
        "see series and keeper above; a policy with a long buffer may just be waiting"
        f" (journal at {used:.0%} of its limit)",
    )


def _is_serious(age: float, used: float) -> bool:
    return age > _LONG or (age > 60 and used > _CROWDED)


def damage(found: dict[str, Any]) -> Iterator[Finding]:
    lost = found["damage"]
    if lost["messages"] or lost["salvaged"] or lost.get("lost"):
        yield bad(
            "journal",
            f"{lost['messages']} accepted messages can no longer be read",
            "find out why (disk?), then: lakebed journal acknowledge",
        )


def change(found: dict[str, Any]) -> Iterator[Finding]:
    other = found.get("change")
    if other is not None:
        yield bad(
            "journal",
            other["message"],
            other["hindrance"] or "see what is lost by it, and go on: lakebed journal adopt",
        )
