"""`lakebed load` and `lakebed limits`: how much is sent, and how much may be."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Limit, Shape, whose


class By(StrEnum):
    UNIT = "unit"
    TOPIC = "topic"
    OWNER = "owner"


class Of(StrEnum):
    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"


def load(
    by: Annotated[By, typer.Option(help="One row for each.")] = By.TOPIC,
    of: Annotated[Of, typer.Option(help="Of this last time.")] = Of.MINUTE,
    limit: Limit = None,
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """Messages and bytes per second: now, on average, and in the busiest second."""
    with access.server() as server:
        found = server.get("/api/v1/load", by=by.value, of=of.value, limit=limit, owner=owner)
    gateways, age = found["gateways"], found["age"]
    if form is Shape.TABLE:
        found = {"load": [_flat(row) for row in found["load"]]}
    output.listing(found, f"no messages in the last {of.value} in {whose(owner)}", form)
    if form is Shape.TABLE and gateways > 1:
        output.note(f"of {gateways} gateways, up to {age:.0f} s old")


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """One column for each figure."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name} {figure}": number for figure, number in value.items()}
        elif name != "uuid":
            flat[name] = value
    return flat


def limits(
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """The limits in force, and how much of them is used."""
    with access.server() as server:
        found = server.get("/api/v1/limits", owner=owner)
    if form is Shape.JSON:
        output.document(found)
        return
    rows = [{"of": f"owner {found['owner']}", **_limits(found)}]
    rows += [{"of": f"unit {unit['unit']}", **_limits(unit)} for unit in found["units"]]
    output.table(rows)


def _limits(found: dict[str, Any]) -> dict[str, Any]:
    given = found["limits"]
    if not given.keys() - {"over"}:  # what to do over a limit, and no limit
        return {"limits": "none", "used": output.Figure("-"), "near": ""}
    document = ", ".join(f"{name} {value}" for name, value in given.items())
    used = output.Figure(f"{found['used']:.0%}")
    return {"limits": document, "used": used, "near": found["near"] or ""}
