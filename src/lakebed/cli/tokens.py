"""`lakebed token`, or `lakebed tokens`: make, list and revoke tokens."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Format, Home, Json, Shape, Token, Url
from lakebed.vocabulary.errors import Conflict

app = typer.Typer(
    help="Who may send and ask: add, list, revoke.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
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
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Make a token and print it: the only time it can be seen."""
    from lakebed.cli.client import Server

    wanted = {
        "owner": owner,
        "name": name,
        "publish": publish or ["#"],
        "read": read or ["#"],
        "admin": admin,
    } | {key: value for key, value in (("role", role), ("expires", expires)) if value is not None}
    with Server(url, token, home) as server:
        made = server.request("POST", _PATH, json=wanted).json()
    if as_json:
        output.document(made)
    else:
        typer.echo(made["token"])


@app.command("list")
def list_(
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
    form: Format = Shape.TABLE,
) -> None:
    """List the tokens, never their secrets."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH)
    shape = Shape.JSON if as_json else form
    output.listing(found, "no tokens that you may see", shape, ("maker", "created", "admin"))


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="What it was called.")],
    owner: Owner = "admin",
    yes: Annotated[bool, typer.Option("--yes", help="The last token of an admin too.")] = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """End a token: nobody gets in with it from now on. Asks before it ends the last admin's."""
    from lakebed.cli.client import Server

    named = {"owner": owner, "name": name}
    with Server(url, token, home) as server:
        try:
            server.request("DELETE", _PATH, params=named)
        except Conflict as last:
            if not yes:
                typer.confirm(f"{last}. End it all the same?", abort=True, err=True)
            server.request("DELETE", _PATH, params=named | {"force": "true"})
    output.note(f"{owner}/{name}: revoked")
