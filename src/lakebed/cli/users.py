"""`lakebed users`: people who sign in."""

import sys
from typing import Annotated

import typer

from lakebed.cli import factors, output
from lakebed.cli.options import ACCESS, Access, Commands, Format, Shape, Title, changes, given

app = Commands("People who sign in: list, add, change, passwords, sessions.")
app.add_typer(factors.app, name="factors")
_PATH = "/api/v1/users"

Name = Annotated[str, typer.Argument(help="Name of a user.")]
Admin = Annotated[bool | None, typer.Option("--admin/--no-admin", help="Administers the instance.")]
FromStdin = Annotated[bool, typer.Option("--stdin", help="Read the password from stdin.")]


@app.command("list")
def list_(form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """List the users by name."""
    with access.server() as server:
        found = server.get(_PATH)["users"]
    output.listing(found, "no users yet", form, ("second_factor", "password"))


@app.command()
def show(
    name: Name,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show a user and their roles."""
    with access.server() as server:
        output.one(server.get(_PATH, name), form)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A slug; the owner of this name is theirs.")],
    title: Title = None,
    admin: Admin = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Make a user without a password. `lakebed users link NAME` lets them choose one."""
    wanted = {"user": name} | given(title=title, admin=admin)
    with access.server() as server:
        output.one(server.ask("POST", _PATH, json=wanted), form)


@app.command()
def change(
    name: Name,
    title: Title = None,
    admin: Admin = None,
    blocked: Annotated[
        bool | None, typer.Option("--block/--unblock", help="A blocked user may nothing.")
    ] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change what is given of a user."""
    wanted = changes("--block", title=title, admin=admin, blocked=blocked)
    with access.server() as server:
        output.one(server.ask("PATCH", _PATH, name, json=wanted), form)


@app.command()
def remove(
    name: Name,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """End a user, their sessions and the tokens they made. Their owner stays."""
    with access.server() as server:
        server.ask("DELETE", _PATH, name)
    output.done({"removed": name}, f"{name}: removed", form)


@app.command()
def password(
    name: Name,
    stdin: FromStdin = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Set a user's password, which ends their sessions. Asks for it twice."""

    if stdin:
        chosen = sys.stdin.readline().rstrip("\r\n")
    else:
        chosen = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with access.server() as server:
        server.ask("POST", _PATH, name, "password", json={"password": chosen})
    output.done({"changed": name}, f"{name}: the password is set", form)


@app.command()
def link(
    name: Name,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Print a link by which a user chooses a password, once."""
    with access.server() as server:
        output.secret(server.ask("POST", _PATH, name, "link"), "link", form)


@app.command()
def sessions(
    name: Name,
    end: Annotated[
        str | None, typer.Option(metavar="ID", help="End this one; `all` ends all.")
    ] = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the sessions of a user, or end them."""
    with access.server() as server:
        if end is not None:
            server.ask("DELETE", _PATH, name, "sessions", *(() if end == "all" else (end,)))
        found = server.get(_PATH, name, "sessions")["sessions"]
    empty = f"{name} has no sessions: not signed in anywhere"
    output.listing(found, empty, form, ("agent", "address", "expires"))
