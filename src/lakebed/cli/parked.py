"""`lakebed parked`: messages that were over a limit, and wait to be released."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, Commands, Format, InOwner, Shape, given
from lakebed.vocabulary.errors import BadRequest

app = Commands("Release or drop what was over a limit.")

_PATH = "/api/v1/parked"
From = Annotated[str | None, typer.Option("--from", help="Received then or later, such as -1h.")]
To = Annotated[str | None, typer.Option("--to", help="Received before.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of stretches.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All that is parked.")]


@app.command("list")
def show(
    owner: InOwner = None,
    start: From = None,
    end: To = None,
    access: Access = ACCESS,
    form: Format = Shape.TABLE,
) -> None:
    """List parked stretches, the oldest first."""

    parameters = {"owner": owner, "from": moment("--from", start), "to": moment("--to", end)}
    with access.server() as server:
        found = server.get(_PATH, **parameters)
    output.listing(found, "nothing is parked", form, ("owner", "state", "units"))


@app.command()
def release(
    ids: Ids = None,
    start: From = None,
    end: To = None,
    everything: All = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Have policies keep parked messages as if they had come in time."""
    _settle("release", ids, start, end, everything, owner, form, access)


@app.command()
def drop(
    ids: Ids = None,
    start: From = None,
    end: To = None,
    everything: All = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Drop parked messages for good."""
    _settle("drop", ids, start, end, everything, owner, form, access)


def _settle(
    action: str, ids: Ids, start: From, end: To, everything: bool, owner: InOwner,
    form: Shape, access: Access,
) -> None:  # fmt: skip

    if not (ids or start or end or everything):
        raise BadRequest("", "say which: ids, --from and --to, or --all")
    times: dict[str, Any] = {"from": moment("--from", start), "to": moment("--to", end)}
    wanted = given(action=action, ids=ids or None, all=everything, **times)
    with access.server() as server:
        answer = server.ask("POST", _PATH, json=wanted, owner=owner)
    if form is Shape.JSON or not answer["stretches"]:
        output.done(answer, "nothing that is parked fits", form)
        return
    done = {"release": "released", "drop": "dropped"}[action]
    typer.echo(f"{done}: {answer['messages']:,} messages in {answer['stretches']:,} stretches")
