"""`lakebed invitations`: links that let people make an account or join an owner."""

from typing import Annotated
from urllib.parse import quote

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Home, Json, Token, Url

app = typer.Typer(
    help="Links that let people make an account or join an owner: list, add, show, remove.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/invitations"

Owner = Annotated[str | None, typer.Option(help="The owner to join. [default: none]")]


@app.command("list")
def list_(
    owner: Annotated[str | None, typer.Option(help="Only to this owner.")] = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """List the open invitations, never their codes."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH, owner=owner)["invitations"]
    if as_json:
        output.document(found)
    else:
        output.rows_of(found, "no open invitations", ("created", "maker"))


@app.command()
def add(
    owner: Owner = None,
    role: Annotated[str, typer.Option(help="viewer, editor or manager of that owner.")] = "viewer",
    account: Annotated[
        bool, typer.Option("--account/--no-account", help="Who has no account may make one.")
    ] = True,
    expires_in: Annotated[str | None, typer.Option(help="Such as 24h.")] = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Make an invitation and print its link: the only time it can be seen."""
    from lakebed.cli.client import Server

    wanted = {"owner": owner, "role": role, "account": account, "expires_in": expires_in}
    given = {key: value for key, value in wanted.items() if value is not None}
    with Server(url, token, home) as server:
        made = server.request("POST", _PATH, json=given).json()
    if as_json:
        output.document(made)
    else:
        typer.echo(made["link"])


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="The end of an invitation's link.")],
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Show to what an invitation leads."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(f"{_PATH}/{quote(code, safe='')}")
    if as_json:
        output.document(found)
    else:
        output.record(found)


@app.command()
def remove(
    id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Take an invitation back."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        server.request("DELETE", f"{_PATH}/{quote(id, safe='')}")
    if as_json:
        output.document({"removed": id})
    else:
        output.note(f"{id}: taken back")
