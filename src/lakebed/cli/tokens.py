"""`lakebed token`, or `lakebed tokens`: make, list, show and revoke tokens."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape, given
from lakebed.vocabulary.errors import Conflict, NotFound

app = Commands("Who may send and ask: add, list, show, revoke.")
_PATH = "/api/v1/tokens"
Owner = Annotated[str, typer.Option(help="In whose name space it works.")]
Filters = Annotated[list[str] | None, typer.Option(help="MQTT filter; may be given repeatedly.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it, to know it again.")],
    owner: Owner = "admin",
    publish: Filters = None,
    read: Filters = None,
    admin: Annotated[bool, typer.Option("--admin", help="May make tokens itself.")] = False,
    role: Annotated[
        str | None, typer.Option(help="device, viewer, editor or manager; at most yours.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: a time, or a duration such as 90d.")
    ] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Make a token and print it: the only time it can be seen."""
    wanted = {
        "owner": owner,
        "name": name,
        "publish": publish or ["#"],
        "read": read or ["#"],
        "admin": admin,
    } | given(role=role, expires=expires)
    with access.server() as server:
        output.secret(server.ask("POST", _PATH, json=wanted), "token", form)


@app.command("list")
def list_(
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the tokens, never their secrets."""
    with access.server() as server:
        found = server.get(_PATH)
    output.listing(found, "no tokens that you may see", form, ("maker", "created", "admin"))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="What it was called.")],
    owner: Owner = "admin",
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show one token, never its secret."""
    with access.server() as server:
        found = output.rows(server.get(_PATH))
    for one in found:
        if (one["owner"], one["name"]) == (owner, name):
            return output.one(one, form)
    raise NotFound(f"there is no token {name!r} of {owner!r} that you may see")


@app.command()
@app.command("remove", hidden=True)  # as of everything else
def revoke(
    name: Annotated[str, typer.Argument(help="What it was called.")],
    owner: Owner = "admin",
    yes: Annotated[bool, typer.Option("--yes", help="The last token of an admin too.")] = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """End a token: nobody gets in with it from now on. Asks before it ends the last admin's."""
    with access.server() as server:
        try:
            server.ask("DELETE", _PATH, owner=owner, name=name)
        except Conflict as last:
            if not yes:
                typer.confirm(f"{last}. End it all the same?", abort=True, err=True)
            server.ask("DELETE", _PATH, owner=owner, name=name, force="true")
    output.done({"revoked": name, "owner": owner}, f"{owner}/{name}: revoked", form)
