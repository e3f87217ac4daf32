"""`lakebed oidc`: the programs in which people sign in with their account here. For admins."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape, Title, Yes, changes

app = Commands(
    "Programs in which people sign in with their account here: add, list, change, remove."
)
_PATH = "/api/v1/oidc/clients"
Id = Annotated[str, typer.Argument(help="Its client_id.")]
Redirects = Annotated[
    list[str] | None,
    typer.Option("--redirect", help="Address that a browser is sent back to; repeatable."),
]


@app.command("list")
def list_(form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """List them, never their secrets."""
    with access.server() as server:
        found = server.get(_PATH)
    output.listing(found, "no clients yet: `lakebed oidc add` registers one", form, ("created",))


@app.command()
def show(id: Id, form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """Show one."""
    with access.server() as server:
        found = server.get(_PATH, id)
    if form is Shape.JSON:
        output.document({"clients": [found]})
    else:
        output.record(found)


@app.command()
def add(
    id: Id,
    redirect: Redirects = None,
    title: Title = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Register one and print its secret: the only time it can be seen."""
    wanted = {"id": id, "title": title or "", "redirects": redirect or []}
    with access.server() as server:
        output.secret(server.ask("POST", _PATH, json=wanted), "client_secret", form)


@app.command()
def change(
    id: Id,
    redirect: Redirects = None,
    title: Title = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change its title, or all of its addresses."""
    wanted = changes("--title", title=title, redirects=redirect)
    with access.server() as server:
        answer = server.ask("PATCH", _PATH, id, json=wanted)
    output.done(answer, f"{id}: changed", form)


@app.command()
def secret(id: Id, form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """Make a new secret and print it; the one of before works no more."""
    with access.server() as server:
        output.secret(server.ask("POST", _PATH, id, "secret"), "client_secret", form)


@app.command()
def remove(
    id: Id,
    yes: Yes = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Remove one: nobody signs in there with an account here any more."""

    if not yes:
        typer.confirm(f"Nobody will sign in to {id} any more. Remove it?", abort=True, err=True)
    with access.server() as server:
        server.ask("DELETE", _PATH, id)
    output.done({"removed": id}, f"{id}: removed", form)
