"""`lakebed owners`: name spaces that people share, and their members."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import (
    ACCESS,
    Access,
    Commands,
    Format,
    Limits,
    Shape,
    Title,
    Yes,
    changes,
    given,
    limits_of,
)
from lakebed.vocabulary.errors import Conflict

app = Commands("Name spaces that people share: list, add, change, members.")
_PATH = "/api/v1/owners"

Name = Annotated[str, typer.Argument(help="Name of an owner.")]
Patterns = Annotated[
    list[str] | None,
    typer.Option(help="Topic on which units report, such as 'state/{unit}'; may be repeated."),
]
User = Annotated[str, typer.Argument(help="Name of a user.")]


@app.command("list")
def list_(form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """List the owners by name."""
    with access.server() as server:
        found = server.get(_PATH)["owners"]
    output.listing(found, "no owners that you may see", form)


@app.command()
def show(
    name: Name,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show an owner and its members."""
    with access.server() as server:
        output.one(server.get(_PATH, name), form)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A slug that was never used before.")],
    manager: Annotated[str | None, typer.Option(help="A user, its first member.")] = None,
    title: Title = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Make an owner that people share."""
    wanted = {"owner": name} | given(manager=manager, title=title)
    with access.server() as server:
        output.one(server.ask("POST", _PATH, json=wanted), form)


@app.command()
def change(
    name: Name,
    title: Title = None,
    blocked: Annotated[
        bool | None,
        typer.Option("--block/--unblock", help="A blocked owner is closed to everybody."),
    ] = None,
    limits: Limits = None,
    state: Patterns = None,
    log: Patterns = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change what is given of an owner."""
    wanted = changes(
        "--title",
        title=title,
        blocked=blocked,
        limits=limits_of(limits),
        state=_patterns(state),
        log=_patterns(log),
    )
    with access.server() as server:
        output.one(server.ask("PATCH", _PATH, name, json=wanted), form)


@app.command()
def remove(
    name: Name,
    yes: Yes = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """End an owner with all that it has but what was kept: units, policies, secrets. Asks first."""
    with access.server() as server:
        if not yes:
            try:
                server.ask("DELETE", _PATH, name)
            except Conflict as told:
                if "confirm=" not in str(told):
                    raise
                typer.confirm(f"{str(told).partition(':')[0]}. Go on?", abort=True, err=True)
        server.ask("DELETE", _PATH, name, confirm=name)
    output.done({"removed": name}, f"{name}: removed; what it kept stays", form)


@app.command()
def member(
    name: Name,
    user: User,
    role: Annotated[str, typer.Option(help="viewer, editor or manager.")] = "viewer",
    remove: Annotated[bool, typer.Option("--remove", help="Take the user out.")] = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Add a user to an owner, change their role, or take them out."""
    with access.server() as server:
        if remove:
            server.ask("DELETE", _PATH, name, "members", user)
        else:
            server.ask("PUT", _PATH, name, "members", user, json={"role": role})
        output.one(server.get(_PATH, name), form)


def _patterns(given: list[str] | None) -> list[str] | None:
    """The patterns that are given; one that is empty takes away those that are there."""
    return None if given is None else [text for text in given if text]
