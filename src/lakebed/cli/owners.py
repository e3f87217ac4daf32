"""`lakebed owners`: name spaces that people share, and their members."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Home, Json, Token, Url
from lakebed.vocabulary.errors import BadRequest, Conflict

app = typer.Typer(
    help="Name spaces that people share: list, add, change, members.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/owners"

Name = Annotated[str, typer.Argument(help="Name of an owner.")]
User = Annotated[str, typer.Argument(help="Name of a user.")]
Title = Annotated[str | None, typer.Option(help="What people read.")]


@app.command("list")
def list_(as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME) -> None:
    """List the owners by name."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH)["owners"]
    if as_json:
        output.document(found)
    else:
        output.rows_of(found, "no owners that you may see")


@app.command()
def show(
    name: Name, as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """Show an owner and its members."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        _print(server.get(_address(name)), as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A slug that was never used before.")],
    manager: Annotated[str | None, typer.Option(help="A user, its first member.")] = None,
    title: Title = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Make an owner that people share."""
    from lakebed.cli.client import Server

    wanted = {"owner": name} | _given(manager=manager, title=title)
    with Server(url, token, home) as server:
        _print(server.request("POST", _PATH, json=wanted).json(), as_json)


@app.command()
def change(
    name: Name,
    title: Title = None,
    blocked: Annotated[
        bool | None,
        typer.Option("--block/--unblock", help="A blocked owner is closed to everybody."),
    ] = None,
    limits: Annotated[
        str | None, typer.Option(help="The document of its limits, as JSON.", show_default=False)
    ] = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change what is given of an owner."""
    from lakebed.cli.client import Server

    changes = _given(title=title, blocked=blocked, limits=None if limits is None else _json(limits))
    if not changes:
        raise BadRequest("change", "say what to change, such as --title")
    with Server(url, token, home) as server:
        _print(server.request("PATCH", _address(name), json=changes).json(), as_json)


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """End an owner with its members, tokens, units, shares and policies. Asks first."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        if not yes:
            try:
                server.request("DELETE", _address(name))
            except Conflict as told:
                if "confirm=" not in str(told):
                    raise
                typer.confirm(f"{str(told).partition(':')[0]}. Go on?", abort=True, err=True)
        server.request("DELETE", _address(name), params={"confirm": name})
    if as_json:
        output.document({"removed": name})
    else:
        output.note(f"{name}: removed; what it kept stays")


@app.command()
def member(
    name: Name,
    user: User,
    role: Annotated[str, typer.Option(help="viewer, editor or manager.")] = "viewer",
    remove: Annotated[bool, typer.Option("--remove", help="Take the user out.")] = False,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Add a user to an owner, change their role, or take them out."""
    from lakebed.cli.client import Server

    path = f"{_address(name)}/members/{quote(user, safe='')}"
    with Server(url, token, home) as server:
        if remove:
            server.request("DELETE", path)
        else:
            server.request("PUT", path, json={"role": role})
        _print(server.get(_address(name)), as_json)


def _address(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _print(owner: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.document(owner)
    else:
        output.record(owner)


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadRequest("--limits", f"it is not JSON: {error}") from None
