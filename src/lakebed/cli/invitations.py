"""`lakebed invitations`: links that let people make an account or join an owner."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape, given

app = Commands("Links that let people make an account or join an owner: list, add, show, remove.")
_PATH = "/api/v1/invitations"

Owner = Annotated[str | None, typer.Option(help="The owner to join. [default: none]")]


@app.command("list")
def list_(
    owner: Annotated[str | None, typer.Option(help="Only to this owner.")] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the open invitations, never their codes."""
    with access.server() as server:
        found = server.get(_PATH, owner=owner)["invitations"]
    output.listing(found, "no open invitations", form, ("created", "maker"))


@app.command()
def add(
    owner: Owner = None,
    role: Annotated[str, typer.Option(help="viewer, editor or manager of that owner.")] = "viewer",
    account: Annotated[
        bool, typer.Option("--account/--no-account", help="Who has no account may make one.")
    ] = True,
    expires_in: Annotated[str | None, typer.Option(help="Such as 24h.")] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Make an invitation and print its link: the only time it can be seen."""
    wanted = given(owner=owner, role=role, account=account, expires_in=expires_in)
    with access.server() as server:
        output.secret(server.ask("POST", _PATH, json=wanted), "link", form)


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="The end of an invitation's link.")],
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show to what an invitation leads."""
    with access.server() as server:
        output.one(server.get(_PATH, code), form)


@app.command()
def remove(
    id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Take an invitation back."""
    with access.server() as server:
        server.ask("DELETE", _PATH, id)
    output.done({"removed": id}, f"{id}: taken back", form)
