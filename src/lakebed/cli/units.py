"""`lakebed units`: devices and programs with credentials of their own."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lakebed.cli import output
from lakebed.cli.export import units_of
from lakebed.cli.options import HOME, URL, Home, InOwner, Json, Token, Url
from lakebed.vocabulary.errors import BadRequest

app = typer.Typer(
    help="Devices with credentials of their own: list, add, change, tokens, block.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/units"
_COLUMNS = ("name", "publish", "read", "tags", "visibility", "blocked", "online", "last_seen")

Unit = Annotated[str, typer.Argument(help="Name or uuid of a unit.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(help="MQTT filter, {unit} and {name} in it; may be given repeatedly."),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="May be given repeatedly.")]
Visibility = Annotated[str | None, typer.Option(help="private, instance or public.")]
Limits = Annotated[str | None, typer.Option(help="A document of limits, as JSON.")]


@app.command("list")
def list_(
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """List the units by name."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        units = units_of(server, owner, tag)
    if as_json:
        output.document(units)
    elif units:
        output.table(output.seconds(units), _COLUMNS, ("visibility", "tags", "read"))
    else:
        whose = owner or "your own name space (--owner NAME looks into another)"
        output.note(f"no units in {whose}: `lakebed units add NAME` makes one")


@app.command()
def show(
    unit: Unit,
    owner: InOwner = None,
    log: Annotated[bool, typer.Option("--log", help="What it has logged, newest first.")] = False,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Show one unit, or its log."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_address(unit) + ("/log" if log else ""), owner=owner)
    if log:
        _print_log(found["entries"], as_json)
    else:
        _print(found, as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it; unique in the owner.")],
    publish: Filters = None,
    read: Filters = None,
    tag: Tags = None,
    visibility: Visibility = None,
    limits: Limits = None,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Make a unit. `lakebed units token NAME` makes its token."""
    from lakebed.cli.client import Server

    wanted = {"name": name} | _given(publish, read, tag, visibility, limits)
    with Server(url, token, home) as server:
        made = server.request("POST", _PATH, json=wanted, params=_of(owner)).json()
    _print(made, as_json)


@app.command()
def change(
    unit: Unit,
    publish: Filters = None,
    read: Filters = None,
    tag: Tags = None,
    visibility: Visibility = None,
    limits: Limits = None,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change what is given of a unit; a list replaces the list that is there."""
    changes = _given(publish, read, tag, visibility, limits)
    if not changes:
        raise BadRequest("change", "say what to change, such as --tag north")
    _patch(unit, changes, owner, as_json, url, token, home)


@app.command()
def block(
    unit: Unit,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Block a unit: it may do nothing until it is unblocked. Its tokens stay."""
    _patch(unit, {"blocked": True}, owner, as_json, url, token, home)


@app.command()
def unblock(
    unit: Unit,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Let a blocked unit do again what it may."""
    _patch(unit, {"blocked": False}, owner, as_json, url, token, home)


@app.command("token")
def token_(
    unit: Unit,
    grace: Annotated[
        str, typer.Option(help="How long the old token works beside it, such as 1h.")
    ] = "0s",
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Give a unit a new token and print it: the only time it can be seen."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        path, wanted = f"{_address(unit)}/token", {"grace": grace}
        made = server.request("POST", path, json=wanted, params=_of(owner)).json()
    if as_json:
        output.document(made)
    else:
        typer.echo(made["token"])


@app.command()
def remove(
    unit: Unit,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """End a unit, its tokens and its log. What it sent stays."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        server.request("DELETE", _address(unit), params=_of(owner))
    if as_json:
        output.document({"removed": unit})
    else:
        output.note(f"{unit}: removed; what it sent stays")


def _patch(
    unit: str, changes: dict[str, Any], owner: str | None, as_json: bool,
    url: str, token: str | None, home: Home,
) -> None:  # fmt: skip
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        answer = server.request("PATCH", _address(unit), json=changes, params=_of(owner))
    _print(answer.json(), as_json)


def _address(unit: str) -> str:
    return f"{_PATH}/{quote(unit, safe='')}"


def _of(owner: str | None) -> dict[str, str]:
    return {} if owner is None else {"owner": owner}


def _given(
    publish: list[str] | None, read: list[str] | None, tags: list[str] | None,
    visibility: str | None, limits: str | None,
) -> dict[str, Any]:  # fmt: skip
    given = {
        "publish": publish,
        "read": read,
        "tags": tags,
        "visibility": visibility,
        "limits": None if limits is None else _json(limits),
    }
    return {key: value for key, value in given.items() if value is not None}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadRequest("--limits", f"it is not JSON: {error}") from None


def _print(unit: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.document(unit)
    else:
        output.record(unit)


def _print_log(entries: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        output.document(entries)
    else:
        output.rows_of(entries, "it has logged nothing yet")
