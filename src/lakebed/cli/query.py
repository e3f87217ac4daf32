"""`lakebed query`: what was kept, as a table, a picture, or a file for other programs."""

import os
import shutil
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, FromOwner
from lakebed.cli.reading import Reading
from lakebed.vocabulary.errors import BadRequest


class Form(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    ARROW = "arrow"
    PARQUET = "parquet"


class Order(StrEnum):
    ASC = "asc"
    DESC = "desc"


BINARY = {Form.ARROW, Form.PARQUET}
_ROWS = 40  # for people; programs and plots get 1000, the API's default
_POINTS = 1000


def query(
    topic: Annotated[str, typer.Argument(help="A topic, or a filter such as 'plant/+/temp'.")],
    policy: Annotated[str | None, typer.Option(help="Rows of this policy.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="Rows of this field; may be given several times.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", help="From this time on: RFC 3339, a number since 1970, -1h."),
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Up to this time, exclusive.")] = None,
    order: Annotated[
        Order | None,
        typer.Option(help="By time. Without it: the newest rows, oldest of them first."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help=f"Rows. [default: {_ROWS} in a table, else 1000]"),
    ] = None,
    cursor: Annotated[str | None, typer.Option(help="Continue where an answer ended.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="Skip this many rows first.")] = None,
    form: Annotated[Form, typer.Option("--format", help="What to print.")] = Form.TABLE,
    safe: Annotated[
        bool,
        typer.Option("--safe", help="CSV for spreadsheets: no text of it is run as a formula."),
    ] = False,
    to_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw it in the terminal.")] = False,
    owner: FromOwner = None,
    everything: Annotated[bool, typer.Option("--all", help="All pages, oldest first.")] = False,
    access: Access = ACCESS,
) -> None:
    """Read back what the policies kept."""
    from lakebed.cli.formats import WRITERS

    _check(form, to_file, plot, everything, limit)
    if safe and form is not Form.CSV:
        raise BadRequest("--safe", "it is of --format csv")
    asked = {
        "topic": topic,
        "policy": policy,
        "field": field or None,
        "from": moment("--from", start),
        "to": moment("--to", end),
        "owner": owner,
        "cursor": cursor,
        "offset": offset,
        "csv": "safe" if safe else None,
    }
    short = _ROWS if form is Form.TABLE and not plot else _POINTS
    reading = Reading(asked, order, everything, limit or short)
    with access.server() as server:
        if form is not Form.TABLE:
            with output.opened(to_file) as stream:
                WRITERS[form](reading.pages(server, form), reading.reverse, stream)
        elif plot:
            _draw(reading.records(server), topic, to_file)
        else:
            _table(reading.records(server))
    if reading.next_cursor is not None and form is not Form.JSON and not plot:
        output.note(f"there is more: --cursor {reading.next_cursor}")


def _check(
    form: Form, to_file: Path | None, plot: bool, everything: bool, limit: int | None
) -> None:
    if plot and form is not Form.TABLE:
        raise BadRequest("--plot", "it is a form of its own: leave out --format")
    if everything and limit is not None:
        raise BadRequest("--limit", "--all knows no limit")
    if form in BINARY and to_file is None and sys.stdout.isatty():
        raise BadRequest("--format", f"{form} is binary: name a file by --output, or pipe it")
    if form is Form.TABLE and to_file is not None and not plot:
        raise BadRequest("--output", "choose a --format for it: csv, json, ndjson, arrow, parquet")


def _table(records: Iterable[dict[str, Any]]) -> None:
    rows = list(records)
    if not rows:
        output.note("no records")
        return
    names = dict.fromkeys(key for row in rows for key in row)
    if len({row.get("topic") for row in rows}) == 1:
        names.pop("topic", None)  # the user has just typed it
    output.table(rows, list(names))


def _draw(records: Iterable[dict[str, Any]], topic: str, to_file: Path | None) -> None:
    from lakebed.cli.plot import plot

    rows = list(records)
    fields = sorted({row["field"] for row in rows if "field" in row})
    if len(fields) > 1:
        raise BadRequest(
            "--plot", f"it draws one field: choose one by --field: {', '.join(fields)}"
        )
    columns, lines = shutil.get_terminal_size((100, 30))
    color = to_file is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    picture = plot(rows, topic, min(columns, 160), max(10, min(lines - 2, 28)), color)
    with output.opened(to_file) as stream:
        stream.write(picture.encode() + b"\n")
