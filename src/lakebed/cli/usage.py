"""`lakebed usage`: rows and bytes that policies keep."""

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Format, InOwner, Limit, Shape


def usage(
    limit: Limit = None,
    owner: InOwner = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """Rows and bytes kept: by policy, then by policy and topic; --limit shows the heaviest."""
    with access.server() as server:
        found = server.get("/api/v1/usage", limit=limit, owner=owner)
    if form is Shape.TABLE and (policies := found.get("policies")):
        typer.echo(f"{found['rows']:,} rows, {output.size(found['bytes'])} of payload\n")
        output.table(policies)
        typer.echo()
    output.listing(found, "nothing is kept yet", form)
