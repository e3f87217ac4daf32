"""`lakebed units`: devices and programs with credentials of their own."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.export import units_of
from lakebed.cli.options import (
    ACCESS,
    Access,
    Commands,
    Format,
    InOwner,
    Limits,
    Shape,
    changes,
    given,
    limits_of,
    whose,
)

app = Commands("Devices with credentials of their own: list, add, change, tokens, block.")
_PATH = "/api/v1/units"
_COLUMNS = ("name", "publish", "read", "tags", "visibility", "blocked", "online", "last_seen")

Unit = Annotated[str, typer.Argument(help="Name or uuid of a unit.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(help="MQTT filter, {unit} and {name} in it; may be given repeatedly."),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="May be given repeatedly.")]
Visibility = Annotated[str | None, typer.Option(help="private, instance or public.")]


@app.command("list")
def list_(
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List the units by name."""
    with access.server() as server:
        units = units_of(server, owner, tag)
    empty = f"no units in {whose(owner)}: `lakebed units add NAME` makes one"
    output.listing(units, empty, form, ("visibility", "tags", "read"), _COLUMNS)


@app.command()
def show(
    unit: Unit,
    owner: InOwner = None,
    log: Annotated[bool, typer.Option("--log", help="What it has logged, newest first.")] = False,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Show one unit, or its log."""
    with access.server() as server:
        if log:
            entries = server.get(_PATH, unit, "log", owner=owner)["entries"]
            output.listing(entries, "it has logged nothing yet", form)
        else:
            output.one(server.get(_PATH, unit, owner=owner), form)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What to call it; unique in the owner.")],
    publish: Filters = None,
    read: Filters = None,
    tag: Tags = None,
    visibility: Visibility = None,
    limits: Limits = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Make a unit. `lakebed units token NAME` makes its token."""
    wanted = {"name": name} | given(
        publish=publish, read=read, tags=tag, visibility=visibility, limits=limits_of(limits)
    )
    with access.server() as server:
        output.one(server.ask("POST", _PATH, json=wanted, owner=owner), form)


@app.command()
def change(
    unit: Unit,
    publish: Filters = None,
    read: Filters = None,
    tag: Tags = None,
    visibility: Visibility = None,
    limits: Limits = None,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Change what is given of a unit; a list replaces the list that is there."""
    options: dict[str, Any] = {"publish": publish, "read": read, "tags": tag}
    wanted = changes("--tag north", **options, visibility=visibility, limits=limits_of(limits))
    _patch(unit, wanted, owner, form, access)


@app.command()
def block(
    unit: Unit,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Block a unit: it may do nothing until it is unblocked. Its tokens stay."""
    _patch(unit, {"blocked": True}, owner, form, access)


@app.command()
def unblock(
    unit: Unit,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Let a blocked unit do again what it may."""
    _patch(unit, {"blocked": False}, owner, form, access)


@app.command("token")
def token_(
    unit: Unit,
    grace: Annotated[
        str, typer.Option(help="How long the old token works beside it, such as 1h.")
    ] = "0s",
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Give a unit a new token and print it: the only time it can be seen."""
    with access.server() as server:
        made = server.ask("POST", _PATH, unit, "token", json={"grace": grace}, owner=owner)
    output.secret(made, "token", form)


@app.command()
def remove(
    unit: Unit,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """End a unit, its tokens and its log. What it sent stays."""
    with access.server() as server:
        server.ask("DELETE", _PATH, unit, owner=owner)
    output.done({"removed": unit}, f"{unit}: removed; what it sent stays", form)


def _patch(
    unit: str, wanted: dict[str, Any], owner: str | None, form: Shape,
    access: Access,
) -> None:  # fmt: skip

    with access.server() as server:
        output.one(server.ask("PATCH", _PATH, unit, json=wanted, owner=owner), form)
