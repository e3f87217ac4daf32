"""`lakebed flow`: what became of every message."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape


class By(StrEnum):
    TOPIC = "topic"
    POLICY = "policy"


def flow(
    by: Annotated[By | None, typer.Option(help="One line for each topic or policy.")] = None,
    why: Annotated[
        bool, typer.Option("--why", help="Show the last few messages that were not kept.")
    ] = False,
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """Account for every message: received = skipped + kept + filtered + … + in flight."""
    with access.server() as server:
        found = server.get("/api/v1/flow", by=by, examples=True if why else None, owner=owner)
    examples = found.get("examples", [])
    if form is Shape.JSON:
        output.document(found)
    elif why:
        _explain(examples)
    elif by is None:
        output.table([{"outcome": k, "messages": v} for k, v in flat(found).items()])
    else:
        output.table([flat(row) for row in output.rows(found)])


def flat(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Make an entry of each reason of `filtered`, such as `filtered: unique`."""
    entries: dict[str, Any] = {}
    for key, value in counts.items():
        if key == "filtered" and isinstance(value, dict):
            entries["filtered"] = sum(value.values())
            entries.update({f"filtered: {reason}": n for reason, n in value.items()})
        elif key == "fields" and isinstance(value, dict):
            entries.update({f"field {name}": _field(found) for name, found in value.items()})
        else:
            entries[key] = value
    return entries


def _field(found: Mapping[str, Any]) -> str:
    """In how many messages a field was kept, and why not in the others."""
    missed = (f"{count} {reason}" for reason, count in found["missed"].items())
    return ", ".join([f"{found['kept']} kept", *missed])


def _explain(examples: list[dict[str, Any]]) -> None:
    rows = [
        {
            "reason": example["reason"],
            "policy": example["policy"],
            "topic": example["topic"],
            "time": example["time"],
            "size": example["size"],
            "payload": example.get("payload") or example.get("payload_base64"),
        }
        for example in examples
    ]
    if rows:
        output.table(rows)
    else:
        output.note("every message was kept, or none came yet")
