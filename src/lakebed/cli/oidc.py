"""`lakebed oidc`: the programs in which people sign in with their account here. For admins."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import (
    HOME,
    URL,
    Commands,
    Format,
    Home,
    Shape,
    Title,
    Token,
    Url,
    Yes,
    changes,
)

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
def list_(
    form: Format = Shape.TABLE, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """List them, never their secrets."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH)
    output.listing(found, "no clients yet: `lakebed oidc add` registers one", form, ("created",))


@app.command()
def show(
    id: Id, form: Format = Shape.TABLE, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """Show one."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
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
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Register one and print its secret: the only time it can be seen."""
    from lakebed.cli.client import Server

    wanted = {"id": id, "title": title or "", "redirects": redirect or []}
    with Server(url, token, home) as server:
        output.secret(server.ask("POST", _PATH, json=wanted), "client_secret", form)


@app.command()
def change(
    id: Id,
    redirect: Redirects = None,
    title: Title = None,
    form: Format = Shape.TABLE,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change its title, or all of its addresses."""
    from lakebed.cli.client import Server

    wanted = changes("--title", title=title, redirects=redirect)
    with Server(url, token, home) as server:
        answer = server.ask("PATCH", _PATH, id, json=wanted)
    output.done(answer, f"{id}: changed", form)


@app.command()
def secret(
    id: Id, form: Format = Shape.TABLE, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """Make a new secret and print it; the one of before works no more."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        output.secret(server.ask("POST", _PATH, id, "secret"), "client_secret", form)


@app.command()
def remove(
    id: Id,
    yes: Yes = False,
    form: Format = Shape.TABLE,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Remove one: nobody signs in there with an account here any more."""
    from lakebed.cli.client import Server

    if not yes:
        typer.confirm(f"Nobody will sign in to {id} any more. Remove it?", abort=True, err=True)
    with Server(url, token, home) as server:
        server.ask("DELETE", _PATH, id)
    output.done({"removed": id}, f"{id}: removed", form)
