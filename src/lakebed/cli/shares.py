"""`lakebed shares`: topics that are open to others."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Home, InOwner, Json, Token, Url
from lakebed.vocabulary.errors import BadRequest

app = typer.Typer(
    help="Topics that are open to others: list, add, change, remove.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/shares"

Name = Annotated[str, typer.Argument(help="Name of a share.")]
Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="MQTT filter; may be given repeatedly.")
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", help="public, instance, owner:NAME, user:NAME; may be repeated."),
]
May = Annotated[list[str] | None, typer.Option(help="read or publish; may be repeated.")]


@app.command("list")
def list_(
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """List the shares by name."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        shares = server.get(_PATH, owner=owner)["shares"]
    if as_json:
        output.document(shares)
    else:
        whose = owner or "your own name space (--owner NAME looks into another)"
        output.rows_of(shares, f"nothing of {whose} is shared")


@app.command()
def show(
    name: Name,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Show one share."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        _print(server.get(_address(name), owner=owner), as_json)


@app.command()
def add(
    name: Name,
    topic: Topics = None,
    with_: With = None,
    may: May = None,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Open topics to others, to be read where --may says nothing else."""
    from lakebed.cli.client import Server

    wanted = {"name": name, "may": ["read"]} | _given(topic, with_, may)
    with Server(url, token, home) as server:
        made = server.request("POST", _PATH, json=wanted, params=_of(owner)).json()
    _print(made, as_json)


@app.command()
def change(
    name: Name,
    topic: Topics = None,
    with_: With = None,
    may: May = None,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change what is given of a share; a list replaces the list that is there."""
    from lakebed.cli.client import Server

    if not (changes := _given(topic, with_, may)):
        raise BadRequest("change", "say what to change, such as --with instance")
    with Server(url, token, home) as server:
        there = server.request("GET", _address(name), params=_of(owner))
        answer = server.request(
            "PUT",
            _address(name),
            json=there.json() | changes,
            params=_of(owner),
            headers={"If-Match": there.headers["etag"]},
        )
    _print(answer.json(), as_json)


@app.command()
def remove(
    name: Name,
    owner: InOwner = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Close what a share opened."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        server.request("DELETE", _address(name), params=_of(owner))
    if as_json:
        output.document({"removed": name})
    else:
        output.note(f"{name}: closed")


def _address(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _of(owner: str | None) -> dict[str, str]:
    return {} if owner is None else {"owner": owner}


def _given(
    topics: list[str] | None, audience: list[str] | None, may: list[str] | None
) -> dict[str, Any]:
    given = {"topics": topics, "with": audience, "may": may}
    return {key: value for key, value in given.items() if value is not None}


def _print(share: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.document(share)
    else:
        output.record(share)
