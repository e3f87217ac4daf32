"""`lakebed policies fill`: a policy keeps of the journal's past what it would have kept."""

import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from lakebed.cli import output
from lakebed.cli.exits import Exit
from lakebed.cli.moments import moment
from lakebed.cli.options import Shape

if TYPE_CHECKING:
    from lakebed.cli.client import Server

_PATH = "/api/v1/policies"
_POLL = 0.5  # seconds between two requests for the progress
_SHOWN = ("state", "from", "first", "read", "matched", "kept", "rows", "bytes", "lost")


def fill(
    server: "Server", name: str, owner: str | None, start: str | None, cancel: bool, wait: bool,
    form: Shape,
) -> None:  # fmt: skip
    """Ask for a fill and follow it to its end; without `start` show the newest one."""
    where = (_PATH, name, "fill")
    if cancel:
        found = server.ask("DELETE", *where, owner=owner)
    elif start is None:
        found = server.get(*where, owner=owner)
    else:
        wanted = {"from": moment("--from", start)}
        found = server.ask("POST", *where, json=wanted, owner=owner)
        if "reaches" in found:
            _say(f"the journal reaches back to {found['reaches']}: filled from there on")
        while wait and found["state"] == "running":
            _progress(found)
            time.sleep(_POLL)
            found = server.get(*where, owner=owner)
        _progress(None)
    if form is Shape.JSON:
        output.document(found)
    else:
        _show(found)
    if found["state"] == "failed":
        raise typer.Exit(Exit.NO)


def _show(found: dict[str, Any]) -> None:
    fields = {key: found[key] for key in _SHOWN if found[key] or key not in ("lost", "first")}
    if found["state"] == "running":
        fields = {"state": f"running, {found['done']:.0%}"} | {
            key: value for key, value in fields.items() if key != "state"
        }
    output.record(fields)
    if found["error"]:
        typer.echo(found["error"])
    elif found["state"] == "done" and not found["read"]:
        typer.echo("nothing was read: it has had all that the journal holds from then on")


def _progress(found: dict[str, Any] | None) -> None:
    """One line on a terminal, written over by the next; None clears it."""
    if sys.stderr.isatty():
        text = "" if found is None else f"{found['done']:.0%}, {found['kept']:,} messages kept"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _say(text: str) -> None:
    typer.echo(text, err=True)
