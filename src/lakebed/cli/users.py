"""`lakebed users`: people who sign in."""

import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from lakebed.cli import output
from lakebed.cli.options import HOME, URL, Home, Json, Token, Url
from lakebed.vocabulary.errors import BadRequest

app = typer.Typer(
    help="People who sign in: list, add, change, passwords, sessions.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PATH = "/api/v1/users"

Name = Annotated[str, typer.Argument(help="Name of a user.")]
Title = Annotated[str | None, typer.Option(help="What people read.")]
Admin = Annotated[bool | None, typer.Option("--admin/--no-admin", help="Administers the instance.")]
FromStdin = Annotated[bool, typer.Option("--stdin", help="Read the password from stdin.")]


@app.command("list")
def list_(as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME) -> None:
    """List the users by name."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        found = server.get(_PATH)["users"]
    if as_json:
        output.document(found)
    else:
        output.rows_of(found, "no users yet", ("second_factor", "password"))


@app.command()
def show(
    name: Name, as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """Show a user and their roles."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        _print(server.get(_address(name)), as_json)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A slug; the owner of this name is theirs.")],
    title: Title = None,
    admin: Admin = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Make a user without a password. `lakebed users link NAME` lets them choose one."""
    from lakebed.cli.client import Server

    wanted = {"user": name} | _given(title=title, admin=admin)
    with Server(url, token, home) as server:
        _print(server.request("POST", _PATH, json=wanted).json(), as_json)


@app.command()
def change(
    name: Name,
    title: Title = None,
    admin: Admin = None,
    blocked: Annotated[
        bool | None, typer.Option("--block/--unblock", help="A blocked user may nothing.")
    ] = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Change what is given of a user."""
    from lakebed.cli.client import Server

    changes = _given(title=title, admin=admin, blocked=blocked)
    if not changes:
        raise BadRequest("change", "say what to change, such as --block")
    with Server(url, token, home) as server:
        _print(server.request("PATCH", _address(name), json=changes).json(), as_json)


@app.command()
def remove(
    name: Name, as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """End a user, their sessions and the tokens they made. Their owner stays."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        server.request("DELETE", _address(name))
    if as_json:
        output.document({"removed": name})
    else:
        output.note(f"{name}: removed")


@app.command()
def password(
    name: Name,
    stdin: FromStdin = False,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Set a user's password, which ends their sessions. Asks for it twice."""
    from lakebed.cli.client import Server

    if stdin:
        chosen = sys.stdin.readline().rstrip("\r\n")
    else:
        chosen = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with Server(url, token, home) as server:
        server.request("POST", f"{_address(name)}/password", json={"password": chosen})
    if as_json:
        output.document({"changed": name})
    else:
        output.note(f"{name}: the password is set")


@app.command()
def link(
    name: Name, as_json: Json = False, url: Url = URL, token: Token = None, home: Home = HOME
) -> None:
    """Print a link by which a user chooses a password, once."""
    from lakebed.cli.client import Server

    with Server(url, token, home) as server:
        made = server.request("POST", f"{_address(name)}/link").json()
    if as_json:
        output.document(made)
    else:
        typer.echo(made["link"])


@app.command()
def sessions(
    name: Name,
    end: Annotated[
        str | None, typer.Option(metavar="ID", help="End this one; `all` ends all.")
    ] = None,
    as_json: Json = False,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """List the sessions of a user, or end them."""
    from lakebed.cli.client import Server

    path = f"{_address(name)}/sessions"
    with Server(url, token, home) as server:
        if end == "all":
            server.request("DELETE", path)
        elif end is not None:
            server.request("DELETE", f"{path}/{quote(end, safe='')}")
        found = server.get(path)["sessions"]
    if as_json:
        output.document(found)
    else:
        output.rows_of(
            found,
            f"{name} has no sessions: not signed in anywhere",
            ("agent", "address", "expires"),
        )


def _address(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"


def _given(**options: Any) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _print(user: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.document(user)
    else:
        output.record(user)
