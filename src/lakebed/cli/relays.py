"""`lakebed relays`: what passes on messages, and what policies gave, to other systems."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lakebed.cli import documents, output
from lakebed.cli.options import ACCESS, Access, Commands, Format, InOwner, Shape, Yes, whose

app = Commands("Relays: list, show, add, pause, resume, rewind, backfill, letters, remove.")
_PATH = "/api/v1/relays"
_LETTERS = "/api/v1/dead-letters"
_LETTER = "$relay:"

Name = Annotated[str, typer.Argument(help="Name of a relay.")]


@app.command("list")
def list_(owner: InOwner = None, form: Format = Shape.TABLE, access: Access = ACCESS) -> None:
    """List the relays by name, with their status."""
    with access.server() as server:
        found = server.get(_PATH, owner=owner, status=True)["relays"]
    if form is Shape.TABLE:
        found = [_row(relay) for relay in found]
    output.listing(found, f"no relays in {whose(owner)} yet", form)


@app.command()
def show(
    name: Name, owner: InOwner = None, form: Format = Shape.TABLE, access: Access = ACCESS
) -> None:
    """Show one relay as its document, and its status; --json has all of that."""
    with access.server() as server:
        _print(server.get(_PATH, name, owner=owner), form)


@app.command()
def add(
    file: documents.File,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Add the relay in a file; one of its name must not be there."""
    relay = _one(file)
    with access.server() as server:
        _print(server.ask("POST", _PATH, json=relay, owner=owner), form)


@app.command()
def pause(
    name: Name, owner: InOwner = None, form: Format = Shape.TABLE, access: Access = ACCESS
) -> None:
    """Deliver nothing until it is resumed; up to `hold` waits for it."""
    _order(name, "pause", owner, form, access)


@app.command()
def resume(
    name: Name, owner: InOwner = None, form: Format = Shape.TABLE, access: Access = ACCESS
) -> None:
    """Go on, also where it was stopped because too much waited for it."""
    _order(name, "resume", owner, form, access)


@app.command()
def rewind(
    name: Name,
    to: Annotated[str, typer.Option(help="From when on: a time, such as 2026-01-31T12:00:00Z.")],
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Pass on again what came from a time on, as far as it is still there."""
    with access.server() as server:
        found = server.ask("POST", _PATH, name, "rewind", json={"to": to}, owner=owner)
    reaches = found["reaches"] or "what is still there"
    output.done(found, f"{name}: begins again at {reaches}", form)


@app.command()
def backfill(
    name: Name,
    from_: Annotated[
        str | None, typer.Option("--from", help="From when on: a time, or 0 for everything.")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel the one at work.")] = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Pass on what the policy has kept from a time on; without options, show how far it is."""
    with access.server() as server:
        if cancel:
            server.ask("DELETE", _PATH, name, "backfill", owner=owner)
            output.done({"cancelled": name}, f"{name}: cancelled", form)
            return
        if from_ is not None:
            asked = {"from": from_}
            found = server.ask("POST", _PATH, name, "backfill", json=asked, owner=owner)
        else:
            found = server.get(_PATH, name, owner=owner)
    one = found["status"]["backfill"]
    if one is None:
        output.done({}, f"{name}: no backfill", form)
        return
    done = f"{one['topics_done']} of {one['topics']} topics, {one['records']} records read"
    text = f"{name}: {one['state']}, {done}, {one['waiting']} wait"
    output.done(one, f"{text}: {one['error']}" if one["error"] else text, form)


@app.command()
def letters(
    name: Name,
    resend: Annotated[bool, typer.Option("--resend", help="Send all of them again.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Drop all of them.")] = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """List what the target refused for ever; or send all of it again, or drop it."""
    chosen = {"policy": f"{_LETTER}{name}", "owner": owner}
    with access.server() as server:
        if resend:
            found = server.ask("POST", _LETTERS, "resend", **chosen)
            output.done(found, f"{name}: {found['resent']} sent again", form)
        elif drop:
            found = server.ask("DELETE", _LETTERS, **chosen)
            output.done(found, f"{name}: {found['dropped']} dropped", form)
        else:
            found = server.get(_LETTERS, **chosen)["dead_letters"]
            if form is Shape.TABLE:
                keys = ("id", "topic", "time", "size", "reason")
                found = [{key: letter[key] for key in keys} for letter in found]
            output.listing(found, f"{name}: no dead letters", form)


@app.command()
def remove(
    name: Name,
    yes: Yes = False,
    owner: InOwner = None,
    form: Format = Shape.TABLE,
    access: Access = ACCESS,
) -> None:
    """Remove a relay; what waits for it is not passed on any more. Asks first."""
    with access.server() as server:
        waiting = server.get(_PATH, name, owner=owner)["status"]["lag"]["messages"]
        if not yes:
            typer.confirm(f"{name}: {waiting} records wait for it; remove it?", abort=True)
        server.ask("DELETE", _PATH, name, owner=owner)
    output.done({"removed": name, "dropped": waiting}, f"{name}: removed", form)


def _order(name: str, order: str, owner: str | None, form: Shape, access: Access) -> None:
    with access.server() as server:
        found = server.ask("POST", _PATH, name, order, owner=owner)
    output.done(found, f"{name}: {found['status']['state']}", form)


def _row(relay: dict[str, Any]) -> dict[str, Any]:
    """The relay on one line of a table."""
    source, status = relay["from"], relay["status"]
    (target,) = [key for key in relay["to"] if key not in ("batch", "every")][:1]
    return {
        "name": relay["name"],
        "from": source.get("policy") or " ".join(source["topics"]),
        "to": target,
        "state": status["state"],
        "lag": status["lag"]["messages"],
        "rate": status["rate"],
        "error": status["error"] or status["why"],
    }


def _one(file: Path) -> dict[str, Any]:
    from lakebed.relays.documents import section

    return documents.read_one(file, section())


def _print(relay: dict[str, Any], form: Shape) -> None:
    """Print a document as JSON, or as YAML with the status beside it."""
    if form is Shape.JSON:
        output.document(relay)
        return
    status = relay.pop("status")
    documents.write_one("relays", relay)
    lag = status["lag"]
    output.note(f"{relay['name']}: {status['state']}, {lag['messages']} records wait")
    for said in (status["why"], status["error"]):
        if said:
            output.note(f"{relay['name']}: {said}")
