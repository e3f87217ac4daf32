"""`lakebed refusals`: what was turned away at the door, and why."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Shape

_COLUMNS = ("last", "count", "door", "client", "address", "topic", "reason", "text")


def refusals(
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    limit: Annotated[int, typer.Option(help="Show at most this many kinds.")] = 100,
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """List messages and connections that were refused of late, by kind, the newest first."""
    with access.server() as server:
        found = server.get("/api/v1/refusals", reason=reason, limit=limit, owner=owner)
    if form is Shape.JSON:
        output.document(found)
    elif rows := output.rows(found):
        output.table(output.seconds(rows), _COLUMNS, spare=("door", "address", "client"))
    else:
        output.note("nothing was refused in the last week")
