"""`lakebed parked`: messages that were over a limit, and wait to be released."""

from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import moment
from lakebed.cli.options import HOME, URL, Format, Home, Shape, Token, Url
from lakebed.vocabulary.errors import BadRequest

app = typer.Typer(no_args_is_help=True, help="Release or drop what was over a limit.")

_PATH = "/api/v1/parked"
Owner = Annotated[str | None, typer.Option(help="Whose. [default: your own]", show_default=False)]
From = Annotated[str | None, typer.Option("--from", help="Received then or later, such as -1h.")]
To = Annotated[str | None, typer.Option("--to", help="Received before.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of stretches.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All that is parked.")]


@app.command("list")
def show(
    owner: Owner = None,
    start: From = None,
    end: To = None,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
    form: Format = Shape.TABLE,
) -> None:
    """List parked stretches, the oldest first."""
    from lakebed.cli.client import Server

    parameters = {"owner": owner, "from": moment("--from", start), "to": moment("--to", end)}
    with Server(url, token, home) as server:
        found = server.get(_PATH, **parameters)
    output.listing(found, "nothing is parked", form, ("owner", "state", "units"))


@app.command()
def release(
    ids: Ids = None,
    start: From = None,
    end: To = None,
    everything: All = False,
    owner: Owner = None,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Have policies keep parked messages as if they had come in time."""
    _settle("release", ids, start, end, everything, owner, url, token, home)


@app.command()
def drop(
    ids: Ids = None,
    start: From = None,
    end: To = None,
    everything: All = False,
    owner: Owner = None,
    url: Url = URL,
    token: Token = None,
    home: Home = HOME,
) -> None:
    """Drop parked messages for good."""
    _settle("drop", ids, start, end, everything, owner, url, token, home)


def _settle(
    action: str, ids: Ids, start: From, end: To, everything: bool, owner: Owner,
    url: Url, token: Token, home: Home,
) -> None:  # fmt: skip
    from lakebed.cli.client import Server

    if not (ids or start or end or everything):
        raise BadRequest("", "say which: ids, --from and --to, or --all")
    body: dict[str, Any] = {
        "action": action, "ids": ids or None, "all": everything,
        "from": moment("--from", start), "to": moment("--to", end),
    }  # fmt: skip
    given = {name: value for name, value in body.items() if value is not None}
    with Server(url, token, home) as server:
        answer = server.request(
            "POST", _PATH, json=given, params={} if owner is None else {"owner": owner}
        ).json()
    if not answer["stretches"]:
        output.note("nothing that is parked fits")
        return
    done = {"release": "released", "drop": "dropped"}[action]
    typer.echo(f"{done}: {answer['messages']:,} messages in {answer['stretches']:,} stretches")
