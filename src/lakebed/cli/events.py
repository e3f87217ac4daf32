"""`lakebed events`: reads, counts and sends events."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lakebed.cli import exact, output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, Commands, Format, FromOwner, InOwner, Shape, given
from lakebed.cli.query import BINARY, Form, Order
from lakebed.cli.reading import Reading
from lakebed.cli.send import chunks
from lakebed.cli.texts import text_of
from lakebed.vocabulary.errors import BadRequest

app = Commands("Read, count and send events.")

_PATH = "/api/v1/events"
_ROWS = 40  # for people; programs get the API's most usual page
_PAGE = 1000
_FIRST = ("time", "name", "id", "accepted", "stored")

Name = Annotated[
    list[str] | None,
    typer.Option(help="Of this name, or under this filter; may be given several times."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIELD:OPERATOR:VALUE",
        help="Such as user_id:eq:42; several, and all of them are true.",
    ),
]
From = Annotated[str | None, typer.Option("--from", help="From this time on: RFC 3339, -1h.")]
To = Annotated[str | None, typer.Option("--to", help="Up to this time, exclusive.")]
Policy = Annotated[str | None, typer.Option(help="Which policy, if several keep them.")]


@app.command("list")
def show(
    name: Name = None,
    where: Where = None,
    start: From = None,
    end: To = None,
    order: Annotated[
        Order | None,
        typer.Option(help="By time. Without it: the newest events, oldest of them first."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help=f"Events. [default: {_ROWS} in a table, else 1000]"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All pages, oldest first.")] = False,
    cursor: Annotated[str | None, typer.Option(help="Continue where an answer ended.")] = None,
    policy: Policy = None,
    owner: FromOwner = None,
    to_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="What to print.")] = Form.TABLE,
    access: Access = ACCESS,
) -> None:
    """List events, with the times at which they were accepted and stored."""
    from lakebed.cli.formats import WRITERS

    if everything and limit is not None:
        raise BadRequest("--limit", "--all knows no limit")
    if form in BINARY and to_file is None and sys.stdout.isatty():
        raise BadRequest("--format", f"{form} is binary: name a file by --output, or pipe it")
    if form is Form.TABLE and to_file is not None:
        raise BadRequest("--output", "choose a --format for it: csv, json, ndjson, arrow, parquet")
    asked = _asked(name, where, start, end, policy, owner) | given(cursor=cursor)
    short = _ROWS if form is Form.TABLE else _PAGE
    reading = Reading(asked, order, everything, limit or short, _PATH, "events")
    with access.server() as server:
        if form is not Form.TABLE:
            with output.opened(to_file) as stream:
                WRITERS[form](reading.pages(server, form), reading.reverse, stream)
        elif rows := list(reading.records(server)):
            names = dict.fromkeys((*_FIRST, *(key for row in rows for key in row)))
            output.table(rows, [key for key in names if any(key in row for row in rows)])
        else:
            output.note("no events")
    if reading.next_cursor is not None and form is not Form.JSON:
        output.note(f"there is more: --cursor {reading.next_cursor}")


@app.command()
def stats(
    by: Annotated[
        list[str] | None, typer.Option(help="Count by the values of this field; up to three.")
    ] = None,
    every: Annotated[str | None, typer.Option(help="By windows of this width, such as 1h.")] = None,
    functions: Annotated[
        list[str] | None,
        typer.Option("--function", help="Such as avg:seconds or p99:lag; several."),
    ] = None,
    name: Name = None,
    where: Where = None,
    start: From = None,
    end: To = None,
    limit: Annotated[int | None, typer.Option(min=1, max=10_000, help="Rows at most.")] = None,
    policy: Policy = None,
    owner: FromOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Count events, by the values of fields and by time."""
    asked = _asked(name, where, start, end, policy, owner)
    asked |= given(by=by or None, every=every, functions=functions or None, limit=limit)
    with access.server() as server:
        found = server.get(f"{_PATH}/stats", **asked)
    output.listing(found, "no events", form)
    if found.get("more") and form is Shape.TABLE:
        output.note("there are more rows: ask for a shorter time, or by --limit")


@app.command()
def send(
    name: Annotated[
        str | None, typer.Argument(help="The name of the event.", show_default=False)
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...", help="Its fields; JSON, or else text.", show_default=False
        ),
    ] = None,
    ident: Annotated[
        str | None, typer.Option("--id", help="An event sent again under this id is stored once.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Event time: RFC 3339, a number since 1970, -5m, now.")
    ] = None,
    by_line: Annotated[
        bool, typer.Option("--lines", help="Each line of stdin is an event, as JSON.")
    ] = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Send an event, or many; returns once they are durable."""
    if by_line == (name is not None):
        raise BadRequest("NAME", "say the name of an event, or use --lines")
    when = moment("--time", time)
    if by_line and (ident is not None or when is not None):
        raise BadRequest("--lines", "each line has its own id and time")
    if name is not None:
        event = {"name": name, **given(id=ident, time=when), **dict(map(_field, fields or ()))}
        bodies: Iterator[list[bytes]] = iter([[json.dumps(event).encode()]])
    else:
        bodies = chunks(sys.stdin.buffer)
    accepted = before = 0
    rejected: list[dict[str, Any]] = []
    with access.server() as server:
        for lines in bodies:
            answer = server.batch(b"\n".join(lines), owner, _PATH)
            accepted += answer["accepted"]
            rejected += [{**one, "line": one["line"] + before} for one in answer["rejected"]]
            before += len(lines)
    counts = f"{accepted} accepted, {len(rejected)} rejected"
    output.done({"accepted": accepted, "rejected": rejected}, counts, form)
    for one in rejected[:20]:
        output.note(f"line {one['line']}: {one['error']}")
    if rejected:
        raise typer.Exit(1)


@app.command()
def script() -> None:
    """Print a script for k6, which sends events at a steady rate and reads each of them back."""
    typer.echo(text_of("events.js"), nl=False)


def _field(text: str) -> tuple[str, Any]:
    """A field of an event: `seconds=30` is a number, `track=t1` a text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadRequest("KEY=VALUE", f"{text!r} is no field of an event, such as user_id=42")
    try:
        return key, exact.loads(value)
    except ValueError:
        return key, value


def _asked(
    name: Name, where: Where, start: From, end: To, policy: Policy, owner: FromOwner
) -> dict[str, Any]:
    return given(
        name=name or None,
        where=where or None,
        policy=policy,
        owner=owner,
        **{"from": moment("--from", start), "to": moment("--to", end)},
    )
