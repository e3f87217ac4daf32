"""`lakebed ledger`: who sent, kept, stored and read how much."""

import csv
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from lakebed.cli import output
from lakebed.cli.moments import moment
from lakebed.cli.options import ACCESS, Access, Limit

_PAGE = 20_000  # rows
_FORMULA = ("=", "+", "-", "@")
_BYTES = ("in_bytes", "kept_bytes", "stored_byte_hours", "out_bytes")


class LedgerFormat(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class Every(StrEnum):
    HOUR = "1h"
    DAY = "1d"
    WEEK = "7d"
    MONTH = "1mo"
    YEAR = "1y"


def ledger(
    by: Annotated[
        str, typer.Option(help="A line for each: owner, unit, topic, policy; several by commas.")
    ] = "",
    start: Annotated[
        str | None,
        typer.Option("--from", help="Such as -24h. [default: this month]", show_default=False),
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="[default: now]", show_default=False)
    ] = None,
    every: Annotated[
        Every | None, typer.Option(help="And a line for each of these.", show_default=False)
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            help="Whose. [default: yours; with --by owner all that you may read]",
            show_default=False,
        ),
    ] = None,
    limit: Limit = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Short for --format csv.")] = False,
    access: Access = ACCESS,
    form: Annotated[
        LedgerFormat, typer.Option("--format", help="For people, or for programs.")
    ] = LedgerFormat.TABLE,
) -> None:
    """Messages and bytes in, kept, stored and out: what a bill is made of."""
    form = LedgerFormat.CSV if as_csv else form
    asked = {
        "by": by or None,
        "from": moment("--from", start),
        "to": moment("--to", end),
        "every": None if every is None else every.value,
        "owner": owner,
    }
    found = _read(access, asked, limit)
    if form is LedgerFormat.JSON:
        output.document(found)
    elif form is LedgerFormat.CSV:
        _write_csv(found["rows"])
    else:
        _show(found, by, every)


def _read(access: Access, asked: dict[str, Any], limit: int | None) -> dict[str, Any]:
    """The answer with the rows of all pages."""
    with access.server() as server:
        size = min(limit or _PAGE, _PAGE)
        page: dict[str, Any] = server.get("/api/v1/ledger", **asked, limit=size)
        rows = page["rows"]
        while page["next_cursor"] and (limit is None or len(rows) < limit):
            size = _PAGE if limit is None else min(_PAGE, limit - len(rows))
            cursor = page["next_cursor"]
            page = server.get("/api/v1/ledger", **asked, limit=size, cursor=cursor)
            rows += page["rows"]
    return page | {"rows": rows}


def _show(found: dict[str, Any], by: str, every: Every | None) -> None:
    typer.echo(f"{found['from']} to {found['to']}\n")
    rows = found["rows"] if by or every else [found["totals"]]
    if not found["rows"]:
        output.note(
            "nothing was counted in this time; what has just been sent shows within a minute"
        )
        return
    hidden = {"end"} if every else {"start", "end"}
    output.table([_readable(row, hidden) for row in rows])
    if found["rest"]["in_messages"]:
        rest = found["rest"]
        size = output.size(rest["in_bytes"])
        typer.echo(f"\ntopics counted together: {rest['in_messages']:,} messages, {size} in")


def _readable(row: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
    return {
        name: output.Figure(output.size(value)) if name in _BYTES else value
        for name, value in row.items()
        if name not in hidden
    }


def _write_csv(rows: list[dict[str, Any]]) -> None:
    writer = csv.writer(sys.stdout)
    for number, row in enumerate(rows):
        if number == 0:
            writer.writerow(row)
        writer.writerow([_cell(value) for value in row.values()])


def _cell(value: object) -> object:
    """A cell that no spreadsheet runs as a formula (OWASP, "CSV Injection")."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
