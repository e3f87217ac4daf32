"""`lakebed oidc`: the programs in which people sign in with their account here. For admins."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url
from lakebed.vocabulary.errors import BadRequest

app = typer.Typer(
    help="Programs in which people sign in with their account here: add, list, change, remove.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/oidc/clients"
Id = Annotated[str, typer.Argument(help="Its client_id.")]
Redirects = Annotated[
    list[str] | None,
    typer.Option("--redirect", help="Address that a browser is sent back to; repeatable."),
]
Title = Annotated[str | None, typer.Option(help="What people read.")]


@app.command("list")
def list_(
    url: Url = URL, token: Token = None, home: Home = HOME, form: Format = Shape.TABLE
) -> None:
    """List them, never their secrets."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH)
    output.listing(found, "no clients yet: `lakebed oidc add` registers one", form, ("created",))


@app.command()
def show(
    id: Id, url: Url = URL, token: Token = None, home: Home = HOME, form: Format = Shape.TABLE
) -> None:
    """Show one."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(f"{_PATH}/{id}")
    if form is Shape.JSON:
        output.document({"clients": [found]})
    else:
        output.record(found)


@app.command()
def add(
    id: Id,
    redirect: Redirects = None,
    title: Title = None,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Register one and print its secret: the only time it can be seen."""
    from lakebed.cli.client import Server

    wanted = {"id": id, "title": title or "", "redirects": redirect or []}
    with Server(url, token, home) as server:
        made = server.request("POST", _PATH, json=wanted).json()
    typer.echo(made["client_secret"])


@app.command()
def change(
    id: Id,
    redirect: Redirects = None,
    title: Title = None,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change its title, or all of its addresses."""
    from lakebed.cli.client import Server

    given = {"title": title, "redirects": redirect}
    wanted = {key: value for key, value in given.items() if value is not None}
    if not wanted:
        raise BadRequest("change", "say what to change, such as --title")
    with Server(url, token, home) as server:
        server.request("PATCH", f"{_PATH}/{id}", json=wanted)
    output.note(f"{id}: changed")


@app.command()
def secret(id: Id, url: Url = URL, token: Token = None, home: Home = HOME) -> None:
    """Make a new secret and print it; the one of before works no more."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        made = server.request("POST", f"{_PATH}/{id}/secret").json()
    typer.echo(made["client_secret"])


@app.command()
def remove(
    id: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Remove one: nobody signs in there with an account here any more."""
    from lakebed.cli.client import Server

    if not yes:
        typer.confirm(f"Nobody will sign in to {id} any more. Remove it?", abort=True, err=True)
    with Server(url, token, home) as server:
        server.request("DELETE", f"{_PATH}/{id}")
    output.note(f"{id}: removed")
