"""`lakebed shares`: topics that are open to others."""

from typing import Annotated

import typer

from lakebed.cli import output
from lakebed.cli.options import (
    ACCESS,
    Access,
    Commands,
    Format,
    InOwner,
    Shape,
    changes,
    given,
    whose,
)

app = Commands("Topics that are open to others: list, add, change, remove.")
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
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the shares by name."""
    with access.server() as server:
        found = server.get(_PATH, owner=owner)["shares"]
    output.listing(found, f"nothing of {whose(owner)} is shared", form)


@app.command()
def show(
    name: Name,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show one share."""
    with access.server() as server:
        output.one(server.get(_PATH, name, owner=owner), form)


@app.command()
def add(
    name: Name,
    topic: Topics = None,
    with_: With = None,
    may: May = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Open topics to others, to be read where --may says nothing else."""
    wanted = {"name": name} | given(topics=topic, **{"with": with_}, may=may or ["read"])
    with access.server() as server:
        output.one(server.ask("POST", _PATH, json=wanted, owner=owner), form)


@app.command()
def change(
    name: Name,
    topic: Topics = None,
    with_: With = None,
    may: May = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change what is given of a share; a list replaces the list that is there."""
    wanted = changes("--with instance", topics=topic, **{"with": with_}, may=may)
    with access.server() as server:
        output.one(server.revise(_PATH, name, wanted, owner=owner), form)


@app.command()
def remove(
    name: Name,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Close what a share opened."""
    with access.server() as server:
        server.ask("DELETE", _PATH, name, owner=owner)
    output.done({"removed": name}, f"{name}: closed", form)
