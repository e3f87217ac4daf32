"""`lakebed series`: what of it is lost. For admins."""

from typing import Any

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape

app = Commands("The series: show what of it is lost, acknowledge it.")
_PATH = "/api/v1/series"


@app.command()
def show(form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """Show what is being rebuilt, and what is lost for ever."""
    with access.server() as server:
        found = server.get(_PATH)
    if form is Shape.JSON:
        output.document(found)
    else:
        _print_loss(found["loss"])


@app.command()
def acknowledge(
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Print what is lost for ever, and say that it was seen: the server is ready again."""
    with access.server() as server:
        loss = server.get(_PATH)["loss"]
        if form is Shape.TABLE:
            _print_loss(loss)
        if acknowledged := loss is not None and loss["done"]:
            server.ask("POST", _PATH, "acknowledge-loss", missing=loss["missing"])
    if form is Shape.JSON:
        output.document({"acknowledged": acknowledged, "loss": loss})
    elif acknowledged:
        output.note("acknowledged")


def _print_loss(loss: dict[str, Any] | None) -> None:
    if loss is None:
        output.note("nothing is lost")
        return
    when = f"{loss['reason']}, detected {loss['at']}"
    if not loss["done"]:
        typer.echo(f"being rebuilt ({when}): what is lost is known afterwards; see /readyz")
        return
    typer.echo(f"rebuilt ({when}): {loss['rows']} rows")
    if loss["missing"]:
        span = f", received between {loss['since']} and {loss['until']}" if loss["since"] else ""
        typer.echo(f"  {loss['missing']} messages are in no backup and not in the journal{span}")
    for text in (*loss["trouble"], *loss["remarks"]):
        typer.echo(f"  {output.plain(text)}")
    if loss["aside"]:
        typer.echo(f"  put aside: {output.plain(loss['aside'])}")
